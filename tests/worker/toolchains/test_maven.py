from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.trees import context, lines, plan, tree, written
from worker.globs import matches
from worker.toolchains.maven import MavenToolchain

MAVEN = MavenToolchain()
SOURCE = written({"pom.xml": "<project/>"})
MVN = "mvn --batch-mode --no-transfer-progress --fail-at-end"


def test_each_stage_is_one_phase() -> None:
    assert lines(plan(MAVEN, StageName.RESTORE, SOURCE)) == [f"{MVN} dependency:go-offline"]
    assert lines(plan(MAVEN, StageName.BUILD, SOURCE)) == [f"{MVN} test-compile"]
    assert lines(plan(MAVEN, StageName.TEST, SOURCE)) == [f"{MVN} test"]
    assert lines(plan(MAVEN, StageName.PACKAGE, SOURCE)) == [f"{MVN} package -DskipTests"]
    assert plan(MAVEN, StageName.TEST, SOURCE).commands[0].tests_fail_on == (1,)


def test_what_is_not_asked_for_is_left_out() -> None:
    properties = BuildProperties(run_tests=False, publish_artifacts=False, build_properties={"revision": "7 a"})

    (build,) = plan(MAVEN, StageName.BUILD, SOURCE, properties).commands

    assert build.argv[-2:] == ("compile", "-Drevision=7 a")
    assert "neither packages nor artifacts" in plan(MAVEN, StageName.PACKAGE, SOURCE, properties).skip_reason


def test_modules_are_not_resolved_before_they_are_built() -> None:
    source = written({"server/pom.xml": "<project><modules><module>a</module></modules></project>"}, "server/a/pom.xml")

    (restore,) = plan(MAVEN, StageName.RESTORE, source).commands

    assert (restore.argv[-1], restore.cwd) == ("validate", "server")
    found = MAVEN.detect(source)
    assert found is not None
    assert (found.why, found.needs) == ("pom.xml is in server", ("mvn", "java"))
    assert MAVEN.detect(tree("build.gradle")) is None


@pytest.mark.parametrize(
    ("root", "path", "strip"),
    [
        ("", "target/a-1.jar", "target"),
        ("", "core/target/core-1.jar", ""),
        ("server/", "server/target/a.war", "server/target"),
        ("server/", "server/web/target/web.ear", "server/"),
    ],
)
def test_packages_of_all_modules_are_handed_out(root: str, path: str, strip: str) -> None:
    source = written({f"{root}pom.xml": "<project/>"})

    globs = MAVEN.artifacts(context(MAVEN, source))

    assert next(glob.strip for glob in globs if matches(glob.pattern, path)) == strip
    assert not any(matches(glob.pattern, f"{root}target/classes/lib.jar") for glob in globs)


def test_reports_of_all_modules_are_read() -> None:
    (report,) = MAVEN.test_reports(context(MAVEN, SOURCE))

    assert (report.kind, report.place) == ("junit", "source")
    for path in ("target/surefire-reports/TEST-a.B.xml", "core/target/surefire-reports/TEST-c.xml"):
        assert matches(report.pattern, path)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[WARNING] /w/src/A.java:[3,5] unchecked call", "warning"),
        ("[WARNING] 'build.plugins.plugin.version' is missing", "warning"),
        ("[WARNING] ", None),
        ("[ERROR] Failed to execute goal x:y:1:compile (default-compile) on project a: Compilation failure", "error"),
        ("[ERROR] Non-parseable POM /w/src/pom.xml", "error"),
        ("[FATAL] Non-resolvable parent POM for a:b:1", "error"),
        ("[ERROR] /w/src/A.java:[3,5] cannot find symbol", None),
        ("[ERROR] Tests run: 2, Failures: 1, Errors: 0, Skipped: 0", None),
        ("[ERROR] -> [Help 1]", None),
        ("[INFO] BUILD FAILURE", None),
    ],
)
def test_a_warning_counts_by_its_line_and_an_error_by_its_goal(text: str, kind: str | None) -> None:
    assert MAVEN.count_problems(text) == kind
