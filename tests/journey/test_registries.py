"""Projects with a dependency from their registry: a failing test is named, and a sound one returns its package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journey.yard import Yard, open_yard, zipped_folder
from tests.servers import need

pytestmark = [pytest.mark.journey]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Example:
    """A project, an edit (file, old, new) that makes one of its tests fail, and what is known of both builds."""

    folder: str
    tools: tuple[str, ...]
    edit: tuple[str, str, str]
    tests: int
    failing: str
    place: str
    artifact: str


NODE = Example(
    "node-project",
    ("node", "npm"),
    ("src/next-version.js", "perf: 'patch'", "perf: 'minor', docs: 'patch'"),
    10,
    "docs: say more asks for none",
    "next-version.test.js:14",
    "next-version-1.4.0.tgz",
)
GO = Example(
    "go-project",
    ("go",),
    ("sizes/sizes.go", 'noun = "file"', 'noun = "files"'),
    5,
    "TestString/one_file",
    "sizes_test.go:43",
    "foldersize",
)


@pytest.mark.parametrize("example", [NODE, GO], ids=lambda example: example.folder)
async def test_a_project_of_a_registry_names_its_failing_test_and_returns_its_package(
    example: Example, tmp_path: Path
) -> None:
    for tool in example.tools:
        need(tool)
    async with open_yard(tmp_path, {}) as yard:
        await _fails(yard, example, tmp_path / example.folder)
        build = await yard.submit(zipped_folder(EXAMPLES / example.folder))

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert status.tests is not None
        assert (status.tests.passed, status.tests.failed) == (example.tests, 0)
        artifacts = await yard.verified(build, tmp_path / "out")
        assert [path for path in artifacts if path.endswith(example.artifact)], list(artifacts)


async def _fails(yard: Yard, example: Example, folder: Path) -> None:
    shutil.copytree(EXAMPLES / example.folder, folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    name, old, new = example.edit
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    build = await yard.submit(zipped_folder(folder))
    for stage in ("build", "test"):  # each wait has its own patience: a first build compiles the standard library
        await yard.stage(build, stage)

    status = await yard.end(build)

    assert (status.status, status.reason_code) == ("Failed", "tests_failed"), await yard.log(build)
    assert status.toolchain == example.folder.removesuffix("-project")
    assert status.tests is not None
    (failure,) = [case for case in status.tests.failures if case.name == example.failing]
    assert failure.place.endswith(example.place), failure
    assert failure.message
    tests = await yard.producer.tests(build)
    assert tests.cases[0].name in {case.name for case in status.tests.failures}
    assert len({case.name for case in tests.cases if case.status == "passed"}) == tests.passed > 0
    assert (tests.total, tests.cases_left_out) == (len(tests.cases), 0)
    assert sum(suite.passed for suite in tests.suites) == tests.passed
    assert '"Action"' not in await yard.log(build)
