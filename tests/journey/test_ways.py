"""Real projects all the way: upload, build, test, artifacts."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.archives import pack
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.scaling import DecisionCode
from tests.journey.test_faults import running_pids
from tests.journey.yard import Yard, csv_of, json_lines, open_yard, until, zipped, zipped_folder
from tests.servers import need

pytestmark = [pytest.mark.journey]

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_a_python_project_returns_its_wheel_and_its_test_counts(where: dict[str, str], tmp_path: Path) -> None:
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(zipped_folder(EXAMPLES / "python-project"), createPackages="true")

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert status.toolchain == "python"
        assert status.tests is not None
        assert status.tests.passed > 0
        artifacts = await yard.verified(build, tmp_path / "out")
        assert any(path.endswith(".whl") for path in artifacts)
        assert [stage.status for stage in status.stages[:4]] == ["Succeeded"] * 4


async def test_a_c_project_builds_and_tests(where: dict[str, str], tmp_path: Path) -> None:
    need("make")
    need("cc")
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(zipped_folder(EXAMPLES / "c-project"))

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert status.toolchain == "make"
        assert await yard.verified(build, tmp_path / "out")


@pytest.mark.parametrize("kind", ["tar.gz", "tar.zst", "zip"])
async def test_every_kind_of_archive_is_uploaded_first_and_built_later(kind: str, tmp_path: Path) -> None:
    need("make")
    project = tmp_path / "project"
    project.mkdir()
    (project / "Makefile").write_text("all:\n\t@mkdir -p dist; echo made > dist/made.txt\n")
    archive = tmp_path / f"project.{kind}"
    with archive.open("wb") as out:
        pack(project, out, kind=kind, ignore=lambda _: False)
    async with open_yard(tmp_path, {}) as yard:
        stored = await yard.producer.store_upload(archive)
        accepted = await yard.producer.start(stored.job_id, BuildRequest.model_validate({"project_name": "later"}))

        status = await yard.end(accepted.execution_id)

        assert (status.status, status.project_name, status.source.kind) == ("Succeeded", "later", stored.kind)
        artifacts = await yard.verified(accepted.execution_id, tmp_path / "out")
        assert artifacts["dist/made.txt"].read_text() == "made\n"


async def test_a_dotnet_solution_restores_builds_tests_packs_and_publishes(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("dotnet")
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(zipped_folder(EXAMPLES / "dotnet-solution"), createPackages="true")

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert [stage.status for stage in status.stages] == ["Succeeded"] * 6
        artifacts = await yard.verified(build, tmp_path / "out")
        assert any(path.endswith(".nupkg") for path in artifacts)
        assert any(path.endswith(".dll") for path in artifacts)


@pytest.mark.parametrize(
    ("example", "tools", "artifact"),
    [("cargo-project", ("cargo",), "roman"), ("maven-project", ("mvn", "java"), "intervals-1.0.0.jar")],
)
async def test_a_project_with_a_dependency_from_its_registry_returns_its_program(
    example: str, tools: tuple[str, ...], artifact: str, tmp_path: Path
) -> None:
    for tool in tools:
        need(tool)
    async with open_yard(tmp_path, {}) as yard:
        build = await yard.submit(zipped_folder(EXAMPLES / example))

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert status.toolchain == example.removesuffix("-project")
        assert status.tests is not None
        assert (status.tests.passed > 0, status.tests.failed, status.tests.skipped) == (True, 0, 1)
        artifacts = await yard.verified(build, tmp_path / "out")
        assert artifacts[artifact].stat().st_size > 1000


async def test_a_failing_test_fails_the_build_and_is_named(where: dict[str, str], tmp_path: Path) -> None:
    project = zipped(
        {
            "requirements.txt": "",
            "test_sums.py": "def test_two_and_two_make_five():\n    assert 2 + 2 == 5\n\ndef test_ok():\n    pass\n",
        }
    )
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(project)

        status = await yard.end(build)

        assert (status.status, status.reason_code) == ("Failed", "tests_failed"), await yard.log(build)
        assert status.tests is not None
        assert [case.name for case in status.tests.failures] == ["test_two_and_two_make_five"]
        assert "test_two_and_two_make_five" in status.reason
        assert (status.tests.passed, status.tests.failed) == (1, 1)


async def test_200_rows_give_200_results_once_each(where: dict[str, str], tmp_path: Path) -> None:
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(csv_of(200, name="Ada"), "data.csv")

        status = await yard.end(build)

        assert status.status == "Succeeded", status.reason
        assert status.rows is not None
        assert (status.rows.total, status.rows.succeeded, status.rows.failed) == (200, 200, 0)
        artifacts = await yard.verified(build, tmp_path / "out")
        results = json_lines(artifacts["results.jsonl"])
        assert [result["row"] for result in results] == list(range(1, 201))
        assert len(artifacts["results.csv"].read_text().splitlines()) == 201


async def test_a_batch_program_of_the_uploader_handles_the_rows(where: dict[str, str], tmp_path: Path) -> None:
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(zipped_folder(EXAMPLES / "batch-program"))

        status = await yard.end(build)

        assert status.status == "Succeeded", f"{status.reason}\n{await yard.log(build)}"
        assert status.rows is not None
        assert status.rows.succeeded == status.rows.total > 0


async def test_the_scaler_bursts_five_above_forty_and_leaves_busy_workers_alone(
    where: dict[str, str], tmp_path: Path
) -> None:
    policy = "max_workers = 12\nburst_threshold = 40\nburst_size = 5\nmax_wait = 3600"
    async with open_yard(tmp_path, where, policy) as yard:
        build = await yard.submit(csv_of(45, work_ms="30000"), "data.csv")

        assert await yard.decided(DecisionCode.BURST) == 5
        await _six_busy(yard)
        busy = await running_pids(yard)
        decisions = (await yard.scaler.decisions(limit=1000)).decisions
        assert not any(decision.plan.drain for decision in decisions)
        burst = next(one for one in decisions if one.plan.code is DecisionCode.BURST)
        assert burst.observed.ready.value is not None
        assert burst.observed.ready.value > 40
        assert await running_pids(yard) == busy
        await yard.producer.cancel(build)
        assert (await yard.end(build)).status == "Cancelled"


async def _six_busy(yard: Yard) -> None:
    async def six() -> bool:
        return len(await running_pids(yard)) >= 6

    await until(six)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("broken.zip", zipped({"a.txt": "x" * 5000})[:-40], "archive_refused"),
        ("nothing.zip", zipped({"notes.txt": "no project"}), "no_toolchain"),
        ("escape.zip", zipped({"../evil": "x"}), "archive_refused"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", "csv_refused"),
        ("bad.zip", zipped({"buildyard.toml": "[nonsense"}), "configuration_refused"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_input_ends_rejected_with_its_reason(name: str, content: bytes, code: str, tmp_path: Path) -> None:
    async with open_yard(tmp_path, {}) as yard:
        status = await yard.end(await yard.submit(content, name))

        assert (status.status, status.reason_code) == ("Rejected", code)
        assert status.reason
        assert not list(tmp_path.rglob("evil"))
