from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.trees import chosen, context, lines, plan, tree
from worker.globs import matches
from worker.toolchains.gradle import GradleToolchain

GRADLE = GradleToolchain()
SOURCE = tree("build.gradle", "settings.gradle")
BEGIN = "gradle --no-daemon --console=plain"


def test_jars_come_with_the_build_and_a_failed_test_stops_no_other() -> None:
    assert lines(plan(GRADLE, StageName.BUILD, SOURCE)) == [f"{BEGIN} assemble"]
    assert lines(plan(GRADLE, StageName.TEST, SOURCE)) == [f"{BEGIN} test --continue"]
    assert plan(GRADLE, StageName.TEST, SOURCE).commands[0].tests_fail_on == (1,)
    assert "when it comes to it" in plan(GRADLE, StageName.RESTORE, SOURCE).skip_reason
    assert plan(GRADLE, StageName.PACKAGE, SOURCE).skip_reason == "Build makes the jars."


def test_properties_of_the_request_are_values_and_never_options() -> None:
    properties = BuildProperties(build_properties={"revision": "7 a", "x": "--init-script=/etc/x"})

    (build,) = plan(GRADLE, StageName.BUILD, SOURCE, properties).commands

    assert build.argv[-2:] == ("-Prevision=7 a", "-Px=--init-script=/etc/x")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (("build.gradle.kts",), "gradle, because build.gradle.kts is at the top."),
        (("settings.gradle.kts", "app/build.gradle.kts"), "gradle, because settings.gradle.kts is at the top."),
        (
            ("server/build.gradle", "server/settings.gradle", "server/gradlew"),
            "gradle, because build.gradle is in server (its wrapper is not started).",
        ),
    ],
)
def test_the_nearest_build_or_settings_file_is_the_root(files: tuple[str, ...], why: str) -> None:
    assert chosen(tree(*files)) == why
    found = GRADLE.detect(tree(*files))
    assert found is not None
    assert found.needs == ("gradle", "java")


@pytest.mark.parametrize(
    ("root", "path", "strip"),
    [
        ("", "build/libs/a-1.jar", "build"),
        ("", "core/build/libs/core-1.jar", ""),
        ("server/", "server/build/distributions/a.zip", "server/build"),
        ("server/", "server/web/build/libs/web.war", "server/"),
    ],
)
def test_packages_of_all_modules_are_handed_out(root: str, path: str, strip: str) -> None:
    globs = GRADLE.artifacts(context(GRADLE, tree(f"{root}build.gradle")))

    assert next(glob.strip for glob in globs if matches(glob.pattern, path)) == strip
    assert not any(matches(glob.pattern, f"{root}build/classes/lib.jar") for glob in globs)


def test_reports_of_all_test_tasks_of_all_modules_are_read() -> None:
    (report,) = GRADLE.test_reports(context(GRADLE, SOURCE))

    assert (report.kind, report.place) == ("junit", "source")
    for path in ("build/test-results/test/TEST-a.B.xml", "core/build/test-results/slow/TEST-c.xml"):
        assert matches(report.pattern, path)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (":compileJava FAILED", "error"),
        ("> Task :core:test FAILED", "error"),
        ("demo.ATest > fails FAILED", None),
        ("BUILD FAILED in 3s", None),
        (":test", None),
        ("WARNING: System::setSecurityManager will be removed in a future release", None),
    ],
)
def test_an_error_counts_by_its_task(text: str, kind: str | None) -> None:
    assert GRADLE.count_problems(text) == kind
