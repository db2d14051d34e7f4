from __future__ import annotations

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.errors import InvalidRequest
from tests.worker.toolchains.trees import context, lines, plan, tree, written
from worker.toolchains.python import PythonToolchain

PYTHON = PythonToolchain()
PACKAGE = '[build-system]\nrequires = ["setuptools"]\n[project]\nname = "x"\nversion = "1"\n'
PIP = "/w/scratch/venv/bin/python -m pip install --no-input --disable-pip-version-check --progress-bar off --no-compile"


def restored(text: str, *files: str, properties: BuildProperties | None = None) -> str:
    made = lines(plan(PYTHON, StageName.RESTORE, written({"pyproject.toml": text}, *files), properties))
    assert made[0] == "/usr/bin/python -m venv /w/scratch/venv"
    return made[1].removeprefix(PIP).strip() if len(made) > 1 else ""


def test_a_package_is_installed_with_its_test_extra_and_pytest_in_one_call() -> None:
    extras = '[project.optional-dependencies]\ndev = ["ruff"]\ntest = ["pytest-cov"]\n'

    assert restored(PACKAGE + extras, "tests/test_x.py") == "-e .[test] build pytest"
    assert restored(PACKAGE + extras) == "-e . build"
    assert restored(PACKAGE, "tests/test_x.py", properties=BuildProperties(run_tests=False)) == "-e . build"


def test_dependency_groups_are_followed_once_each() -> None:
    test, base = '["pytest>=8", {include-group = "base"}]', '["rich", {include-group = "test"}]'
    groups = f"[dependency-groups]\ntest = {test}\nbase = {base}\n"

    assert restored(PACKAGE + groups, "test_x.py") == "-e . build pytest>=8 rich pytest"


def test_requirements_files_are_installed_those_for_tests_only_with_tests() -> None:
    files = ("requirements.txt", "requirements-dev.txt")

    assert restored("[tool.x]\n", *files) == "-r requirements.txt"
    assert restored("[tool.x]\n", *files, "x_test.py") == "-r requirements.txt -r requirements-dev.txt pytest"


def test_a_source_without_a_build_system_is_compiled_and_makes_no_package() -> None:
    source = tree("main.py", "test_main.py")

    assert lines(plan(PYTHON, StageName.BUILD, source)) == [
        r"/w/scratch/venv/bin/python -m compileall -q -x (^|/)(\.[^/]+|venv|env|node_modules|build|dist)/ ."
    ]
    assert plan(PYTHON, StageName.PACKAGE, source).skip_reason == "No build system is declared."
    assert PYTHON.artifacts(context(PYTHON, source)) == ()


def test_a_project_that_is_no_package_gets_its_dependencies_installed() -> None:
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["httpx>=0.28", "rich"]\n[tool.uv]\npackage = false\n'

    assert restored(text) == "httpx>=0.28 rich"


@pytest.mark.parametrize("item", ["--index-url=x", "-r other", " ", "../evil", "a\nb c"])
def test_an_option_never_passes_for_a_requirement(item: str) -> None:
    with pytest.raises(InvalidRequest, match="is no requirement"):
        restored(f"[project]\ndependencies = [{item!r}]\n[tool.uv]\npackage = false\n".replace("'", '"'))


def test_an_odd_extra_is_never_part_of_a_command() -> None:
    assert restored(PACKAGE + '[project.optional-dependencies]\n"test] evil" = []\n', "test_x.py").startswith("-e . ")


def test_a_pyproject_that_is_no_toml_is_told() -> None:
    with pytest.raises(InvalidRequest, match=r"^pyproject.toml:1:9: it is not TOML"):
        restored("[project\n")


@pytest.mark.parametrize("text", ["project = 1", "[project]\noptional-dependencies = 3", "dependency-groups = []", ""])
def test_a_pyproject_of_strange_shape_is_survived(text: str) -> None:
    restored(text, "test_x.py")


def test_tests_run_from_the_projects_own_folder_and_write_junit() -> None:
    found = plan(PYTHON, StageName.TEST, tree("wrapper/pyproject.toml", "wrapper/tests/test_a.py"))

    command = found.commands[0]
    assert command.cwd == "wrapper"
    assert command.argv[1:] == ("-m", "pytest", "--color=yes", "--junitxml=/w/out/reports/pytest.xml")
    assert 5 not in (*command.tests_fail_on, *command.ok_exit_codes)
    assert 1 in command.tests_fail_on


def test_without_test_files_the_stage_is_skipped() -> None:
    found = plan(PYTHON, StageName.TEST, tree("setup.py", "tests/data.json", "node_modules/test_x.py"))

    assert found.skip_reason == "There are no test files (test_*.py or *_test.py)."


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("ERROR: Could not find a version that satisfies the requirement x", "error"),
        ("ModuleNotFoundError: No module named 'x'", "error"),
        ("E   assert 1 == 2", "error"),
        ("WARNING: Running pip as the 'root' user", "warning"),
        ("/x/a.py:3: DeprecationWarning: old", "warning"),
        ("  src/a.py:3: UserWarning: hm", "warning"),
        ("Successfully installed x-1", None),
        ("errors are handled", None),
        ("Building wheel for warnings-lib", None),
    ],
)
def test_problems_are_counted_by_their_line(line: str, kind: str | None) -> None:
    assert PYTHON.count_problems(line) == kind
