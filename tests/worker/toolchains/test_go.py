from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.trees import context, lines, plan, tree
from worker.toolchains.go import GoToolchain

GO = GoToolchain()
SOURCE = tree("go.mod", "go.sum", "main.go", "main_test.go")


def test_each_stage_has_its_command() -> None:
    (test,) = plan(GO, StageName.TEST, SOURCE).commands
    (install,) = plan(GO, StageName.PACKAGE, SOURCE).commands

    assert lines(plan(GO, StageName.RESTORE, SOURCE)) == ["go mod download -modcacherw"]
    assert lines(plan(GO, StageName.BUILD, SOURCE)) == ["go build -p 4 ./..."]
    assert test.argv == ("go", "test", "-json", "-p", "4", "./...")
    assert (test.prints, test.tests_fail_on) == ("go", (1,))
    assert (install.argv, install.env) == (("go", "install", "./..."), {"GOBIN": "/w/out/bin"})
    assert [(glob.pattern, glob.place) for glob in GO.artifacts(context(GO, SOURCE))] == [("bin/*", "out")]


def test_what_is_not_needed_is_skipped_with_its_reason() -> None:
    vendored = tree("svc/go.mod", "svc/vendor/modules.txt", "svc/vendor/x/x_test.go", "svc/main.go")
    nothing = BuildProperties(create_packages=False, publish_artifacts=False)

    assert plan(GO, StageName.RESTORE, vendored).skip_reason == "The modules are in vendor/."
    assert plan(GO, StageName.TEST, vendored).skip_reason == "There are no test files (*_test.go)."
    assert plan(GO, StageName.PACKAGE, vendored, nothing).skip_reason == "The request asks for no artifacts."
    assert plan(GO, StageName.BUILD, vendored).commands[0].cwd == "svc"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("./main.go:3:28: declared and not used: y", "error"),
        ("vet: ./main.go:3:28: undefined: y", "error"),
        ("sizes/sizes.go:7:1: fmt.Printf format %d has arg x of wrong type string", "error"),
        ("    sizes_test.go:12: got 3", None),
        ("go: downloading example.org/x v1.0.0", None),
        ("# example.org/x", None),
    ],
)
def test_the_compilers_problems_are_counted_by_their_line(text: str, kind: str | None) -> None:
    assert GO.count_problems(text) == kind
