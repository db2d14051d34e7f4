"""A lock file beside pyproject.toml: which program installs it, where that comes from, and what it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildyard.contracts.builds import BuildProperties, StageName
from tests.worker.toolchains.trees import chosen, context, line, tree, written
from worker.toolchains.contract import BuildContext, Command, FileTree
from worker.toolchains.python import PythonToolchain

PYTHON = PythonToolchain()
PACKAGE = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "x"\nversion = "1"\n'
TESTED = '[project.optional-dependencies]\ntest = ["pytest"]\n[dependency-groups]\ndev = ["ruff"]\n'
VENV = "/w/scratch/venv"
UV, POETRY = "/w/scratch/tools/bin/uv", "/w/scratch/tools/bin/poetry"
PIP = "-m pip install --no-input --disable-pip-version-check --progress-bar off --no-compile"


def source(text: str, lock: str, *more: str) -> FileTree:
    return written({"pyproject.toml": text}, lock, "tests/test_x.py", *more)


def commands(
    stage: StageName, given: FileTree, properties: BuildProperties | None = None, **tools: str
) -> tuple[Command, ...]:
    """What a stage runs; `tools` are the agent's own programs with their versions."""
    around: BuildContext = context(PYTHON, given, properties)
    around = replace(
        around, tools={**around.tools, **{name: f"/usr/bin/{name}" for name in tools}}, tool_versions=tools
    )
    return PYTHON.plan(stage, around).commands


def lines(*arguments: object, **tools: str) -> list[str]:
    return [line(command) for command in commands(*arguments, **tools)]  # type: ignore[arg-type] # passed on


def test_without_uv_on_the_agent_the_build_gets_one_of_its_own_and_installs_as_locked() -> None:
    assert lines(StageName.RESTORE, source(PACKAGE + TESTED, "uv.lock")) == [
        "/usr/bin/python -m venv /w/scratch/tools",
        f"/w/scratch/tools/bin/python {PIP} uv>=0.9,<1",
        f"{UV} sync --locked --no-progress --extra test --group dev",
        f"{UV} pip install --no-progress --python {VENV}/bin/python pytest",
    ]
    assert lines(StageName.BUILD, source(PACKAGE, "uv.lock")) == [f"{UV} build --out-dir /w/out/dist"]


def test_poetry_installs_into_the_environment_that_is_active() -> None:
    made = commands(StageName.RESTORE, source(PACKAGE + TESTED, "poetry.lock"))

    assert [line(command) for command in made] == [
        "/usr/bin/python -m venv /w/scratch/tools",
        f"/w/scratch/tools/bin/python {PIP} poetry>=2.0,<3",
        f"/usr/bin/python -m venv {VENV}",
        f"{POETRY} install --no-interaction --no-ansi --extras test",
        f"{VENV}/bin/python {PIP} pytest",
    ]
    assert made[3].env["VIRTUAL_ENV"] == VENV
    assert lines(StageName.BUILD, source(PACKAGE, "poetry.lock")) == [
        f"{POETRY} build --output /w/out/dist --no-interaction"
    ]


def test_a_group_of_poetry_for_tests_is_asked_for() -> None:
    text = PACKAGE + "[tool.poetry.group.test]\noptional = true\n"

    assert lines(StageName.RESTORE, source(text, "poetry.lock"))[3].endswith(
        "install --no-interaction --no-ansi --with test"
    )


@pytest.mark.parametrize(
    ("lock", "tool", "version", "own"),
    [
        ("uv.lock", "uv", "0.9.2", True),
        ("uv.lock", "uv", "0.4.30", False),
        ("uv.lock", "uv", "", False),
        ("poetry.lock", "poetry", "2.1.3", True),
        ("poetry.lock", "poetry", "1.8.5", False),
    ],
)
def test_the_agents_own_program_is_used_where_it_is_new_enough(lock: str, tool: str, version: str, own: bool) -> None:
    made = lines(StageName.RESTORE, source(PACKAGE, lock), **{tool: version})

    assert any(command.startswith(f"/usr/bin/{tool} ") for command in made) is own
    assert any(command.endswith("venv /w/scratch/tools") for command in made) is not own


@pytest.mark.parametrize(
    ("table", "lock", "wanted"),
    [
        ('[tool.uv]\nrequired-version = ">=0.8, <0.9"\n', "uv.lock", "uv>=0.8, <0.9"),
        ('[tool.uv]\nrequired-version = "0.8.1"\n', "uv.lock", "uv==0.8.1"),
        ('[tool.poetry]\nrequires-poetry = ">=1.8"\n', "poetry.lock", "poetry>=1.8"),
        ('[tool.poetry]\nrequires-poetry = "^2.1"\n', "poetry.lock", "poetry>=2.0,<3"),
        ('[tool.uv]\nrequired-version = "--index-url=x"\n', "uv.lock", "uv>=0.9,<1"),
        ('[tool.uv]\nrequired-version = "==1 @ file:///etc"\n', "uv.lock", "uv>=0.9,<1"),
        ("[tool.uv]\nrequired-version = 3\n", "uv.lock", "uv>=0.9,<1"),
    ],
)
def test_a_project_gets_the_version_of_its_tool_that_it_asks_for(table: str, lock: str, wanted: str) -> None:
    assert commands(StageName.RESTORE, source(PACKAGE + table, lock))[1].argv[-1] == wanted


def test_without_tests_nothing_of_theirs_is_installed() -> None:
    properties = BuildProperties(run_tests=False)

    assert lines(StageName.RESTORE, source(PACKAGE + TESTED, "uv.lock"), properties, uv="0.9.1") == [
        "/usr/bin/uv sync --locked --no-progress"
    ]


def test_a_project_that_is_no_package_is_compiled() -> None:
    nothing_to_build = '[project]\nname = "x"\nversion = "1"\n'

    for given in (
        source(nothing_to_build, "uv.lock"),
        source(f"{PACKAGE}[tool.uv]\npackage = false\n", "uv.lock"),
        source("[tool.poetry]\npackage-mode = false\n", "poetry.lock"),
    ):
        (build,) = lines(StageName.BUILD, given)
        assert build.startswith(f"{VENV}/bin/python -m compileall ")
        assert PYTHON.artifacts(context(PYTHON, given)) == ()
    declared = source(f"{nothing_to_build}[tool.uv]\npackage = true\n", "uv.lock")
    assert lines(StageName.BUILD, declared)[0].startswith(f"{UV} build")


def test_caches_are_shared_by_copies_and_no_interpreter_is_fetched() -> None:
    sync = commands(StageName.RESTORE, source(PACKAGE, "uv.lock"))[2]

    assert sync.env == {
        "UV_PROJECT_ENVIRONMENT": VENV,
        "UV_PYTHON": "/usr/bin/python",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
    }


def test_the_lock_is_named_where_the_toolchain_is_explained_and_uv_comes_first() -> None:
    assert chosen(tree("pyproject.toml", "uv.lock", "poetry.lock")) == (
        "python, because pyproject.toml is at the top with uv.lock."
    )
    assert (
        chosen(tree("app/pyproject.toml", "app/poetry.lock"))
        == "python, because pyproject.toml is in app with poetry.lock."
    )
    assert chosen(tree("setup.py", "uv.lock")) == "python, because setup.py is at the top."
    assert chosen(tree("pyproject.toml", "docs/uv.lock")) == "python, because pyproject.toml is at the top."
