from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from buildyard.contracts.builds import JobKind, Outcome, ReasonCode, RowResult, RowSpan, RowsPart, UploadKind
from buildyard.contracts.messages import RowsDone
from buildyard.errors import Conflict, Forbidden, Overloaded, ProducerUnavailable
from tests.worker.fakes import UPLOAD_KEY, Rig, job_spec, rig_of, upload_of, upload_rig
from worker.pipeline import StopCause

URL = "https://github.com/owner/name"
CSV = f"git_url,branch\n{URL},main\n{URL},v1\n".encode()


async def rows_rig(tmp_path: Path, values: list[dict[str, str]], done: tuple[int, ...] = ()) -> Rig:
    body = "".join(json.dumps({"row": n, "values": row}) + "\n" for n, row in enumerate(values, 1)).encode()
    part = RowsPart(
        span=RowSpan(first=1, count=len(values)),
        key="rows.jsonl",
        byte_start=0,
        byte_end=len(body),
        handler="build",
        done=done,
    )
    spec = job_spec(upload_of(CSV, UploadKind.CSV), JobKind.ROWS, rows=part, project_name="parent", run_tests=False)
    rig = rig_of(tmp_path, spec)
    await rig.objects.put(UPLOAD_KEY, CSV)
    await rig.objects.put("rows.jsonl", body)
    return rig


def told(rig: Rig) -> list[RowResult]:
    return [row for report in rig.reports.of(RowsDone) for row in report.rows]


async def test_a_csv_with_a_column_git_url_becomes_one_job_that_asks_for_builds(tmp_path: Path) -> None:
    finished = await (await upload_rig(tmp_path, CSV, UploadKind.CSV)).run()

    assert finished.found is not None, finished.reason
    assert (finished.found.handler, len(finished.found.chunks)) == ("build", 1)


async def test_with_the_toolchain_batch_repositories_are_data(tmp_path: Path) -> None:
    finished = await (await upload_rig(tmp_path, CSV, UploadKind.CSV, toolchain="batch")).run()

    assert finished.found is not None, finished.reason
    assert finished.found.handler == "builtin"


async def test_each_row_asks_for_its_build_once_with_a_key_of_its_own(tmp_path: Path) -> None:
    rows = [
        {"git_url": URL, "branch": "main", "project_name": "", "priority": ""},
        {"git_url": URL, "branch": "", "project_name": "own", "priority": "High"},
        {"git_url": URL, "branch": "v1", "project_name": "", "priority": ""},
    ]
    rig = await rows_rig(tmp_path, rows, done=(3,))
    finished = await rig.run()

    spec = rig.attempt.spec
    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert [key for key, _ in rig.producer.submitted] == [f"{spec.build_id}-1", f"{spec.build_id}-2"]
    [first, second] = [request for _, request in rig.producer.submitted]
    assert (first.job.repository_url, first.job.git_ref, first.job.project_name) == (URL, "main", "parent")
    assert (first.pool, first.priority, first.job.run_tests) == ("linux", spec.priority, False)
    assert first.job.metadata == {"batch": spec.build_id, "row": "1"}
    assert (second.job.git_ref, second.job.project_name, second.priority.wire) == ("HEAD", "own", "High")
    assert all(row.ok and row.result["executionId"] for row in told(rig))


async def test_a_full_farm_is_asked_again_and_a_refusal_is_the_rows_own(tmp_path: Path) -> None:
    rig = await rows_rig(tmp_path, [{"git_url": "https://evil.example/x"}, {"git_url": URL}, {"git_url": URL}])
    busy = Conflict("It is still worked on.")
    busy.code = "in_progress"
    rig.producer.answers = [
        Overloaded("The farm is full.", retry_after=0.01),
        ProducerUnavailable("The producer is away.", retry_after=0.01),
        busy,
        Forbidden("Repositories of evil.example are not allowed.", remedy="BUILDYARD_GIT_HOSTS lists them."),
    ]
    await rig.run()  # the first row's fourth asking is refused

    assert [key.rpartition("-")[2] for key, _ in rig.producer.submitted] == ["1", "1", "1", "1", "2", "3"]
    assert [row.ok for row in told(rig)] == [False, True, True]
    assert told(rig)[0].error.endswith("not allowed. BUILDYARD_GIT_HOSTS lists them.")


@pytest.mark.parametrize(
    "columns",
    [{"git_url": ""}, {"priority": "Soon"}, {"project_name": "a/b"}, {"target_pool": "../x"}, {"git_url": "x" * 3000}],
)
async def test_a_row_that_asks_for_no_possible_build_fails_alone(columns: dict[str, str], tmp_path: Path) -> None:
    rig = await rows_rig(tmp_path, [{"git_url": URL, **columns}, {"git_url": URL}])
    await rig.run()

    assert [row.ok for row in told(rig)] == [False, True]
    assert len(rig.producer.submitted) == 1


async def test_a_stopped_job_asks_for_nothing_more(tmp_path: Path) -> None:
    rig = await rows_rig(tmp_path, [{"git_url": URL}])
    rig.producer.answers = [Overloaded("The farm is full.", retry_after=600)]
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(120):
        while not rig.producer.submitted:
            await asyncio.sleep(0.01)
    rig.attempt.stop.stop(StopCause.CANCELLED)
    async with asyncio.timeout(120):
        finished = await running

    assert (finished.outcome, finished.reason_code) == (Outcome.CANCELLED, ReasonCode.CANCELLED)
    assert told(rig) == []
