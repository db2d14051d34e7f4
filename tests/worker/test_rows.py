from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from buildyard.contracts.builds import JobKind, Outcome, ReasonCode, RowResult, RowSpan, RowsPart, UploadKind
from buildyard.contracts.messages import RowsDone, StageFinished, StageStarted
from tests.worker.fakes import UPLOAD_KEY, Rig, job_spec, rig_of, upload_of, zipped
from worker.pipeline import StopCause

ECHO = """
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    print(json.dumps({"row": row["row"], "double": int(row["n"]) * 2}))
"""


BLOCKS = f"import os\nimport sys\nsys.stdout = os.fdopen(1, 'w', 8192)\n{ECHO}"


def _config(*run: str) -> str:
    return f"[batch]\nrows = 'data.csv'\nrun = {json.dumps(list(run))}\n"


async def _rows_rig(
    tmp_path: Path,
    values: list[dict[str, str]],
    files: Mapping[str, str | bytes] | None = None,
    done: tuple[int, ...] = (),
    **more: Any,
) -> Rig:
    """A rows job over these values; with `files` a program handles them."""
    content = zipped(files) if files is not None else b"a\n1\n"
    handler: Literal["builtin", "program"] = "builtin" if files is None else "program"
    lines = [json.dumps({"row": number, "values": row}) + "\n" for number, row in enumerate(values, 1)]
    body = "".join(lines).encode()
    part = RowsPart(
        span=RowSpan(first=1, count=len(values)),
        key="rows.jsonl",
        byte_start=0,
        byte_end=len(body),
        handler=handler,
        done=done,
    )
    source = upload_of(content, UploadKind.ZIP if files is not None else UploadKind.CSV)
    rig = rig_of(tmp_path, job_spec(source, JobKind.ROWS, rows=part, **more))
    await rig.objects.put(UPLOAD_KEY, content)
    await rig.objects.put("rows.jsonl", body)
    return rig


def _told(rig: Rig) -> list[RowResult]:
    return [row for report in rig.reports.of(RowsDone) for row in report.rows]


async def test_rows_are_handled_and_no_stage_is_reported(tmp_path: Path) -> None:
    rig = await _rows_rig(tmp_path, [{"name": f"  {number}  x "} for number in range(250)])

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert [row.row for row in results] == list(range(1, 251))
    assert results[6].result["values"] == {"name": "6 x"}
    assert rig.reports.of(StageStarted) == rig.reports.of(StageFinished) == []
    assert finished.log_lines == 0
    assert not rig.attempt.workspace.root.exists(), "folders cost more than such a row, and nobody looks into them"
    assert all(len(report.rows) <= 100 for report in rig.reports.of(RowsDone))


async def test_a_failed_row_fails_neither_its_job_nor_its_neighbours(tmp_path: Path) -> None:
    rig = await _rows_rig(tmp_path, [{"a": "1", "fail": ""}, {"a": "2", "fail": "yes"}, {"a": "", "fail": ""}])

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED
    assert finished.reason == "3 rows done, 2 of them failed."
    assert [(row.ok, row.error) for row in finished.rows] == [
        (True, ""),
        (False, "The row asks to fail: its column `fail` says so."),
        (False, "The row is empty."),
    ]


async def test_a_slow_row_is_told_and_confirmed_before_the_next_starts(tmp_path: Path) -> None:
    rig = await _rows_rig(tmp_path, [{"work_ms": "60"}, {"work_ms": "60"}, {"work_ms": "60"}])
    rig.reports.before_confirm.clear()
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(60):
        while not _told(rig):
            await asyncio.sleep(0.01)
    assert [row.row for row in _told(rig)] == [1]

    rig.reports.before_confirm.set()
    finished = await running

    assert [row.row for row in _told(rig)] == [1, 2]
    assert [row.row for row in finished.rows] == [3]


async def test_rows_that_are_recorded_are_not_done_again(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    program = f"{ECHO}    open({str(marker)!r}, 'a').write(str(row['row']) + ' ')\n"
    files = {"buildyard.toml": _config("python", "handle.py"), "handle.py": program}
    rig = await _rows_rig(tmp_path, [{"n": str(number)} for number in range(5)], files, done=(1, 2, 4))

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert marker.read_text().split() == ["3", "5"]
    assert [row.row for row in (*_told(rig), *finished.rows)] == [3, 5]


async def test_a_stopped_job_reports_the_rows_it_finished(tmp_path: Path) -> None:
    rig = await _rows_rig(tmp_path, [{"work_ms": "1"}, {"work_ms": "600000"}])
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(60):
        while not _told(rig):  # told after 200 ms although the second row still works
            await asyncio.sleep(0.01)

    rig.attempt.stop.stop(StopCause.HANDED_BACK)
    finished = await running

    assert finished.outcome is Outcome.HANDED_BACK
    assert [row.row for row in (*_told(rig), *finished.rows)] == [1]


async def test_the_uploaders_program_answers_row_by_row(tmp_path: Path) -> None:
    files = {"buildyard.toml": _config("python3", "handle.py"), "handle.py": ECHO}
    rig = await _rows_rig(tmp_path, [{"n": str(number)} for number in range(300)], files)

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert [row.row for row in results] == list(range(1, 301))
    assert [row.result["double"] for row in results] == [2 * number for number in range(300)]


SLOW_ECHO = """
import json, sys, time
for line in sys.stdin:
    row = json.loads(line)["row"]
    open({started!r}, "a").write(f"{{row}} ")
    time.sleep(0.1)
    print(json.dumps({{"row": row}}), flush=True)
"""


async def test_a_program_gets_no_row_before_the_result_of_a_slow_one_is_confirmed(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = SLOW_ECHO.format(started=str(started))
    files = {"buildyard.toml": _config("python", "handle.py"), "handle.py": program}
    rig = await _rows_rig(tmp_path, [{"n": str(number)} for number in range(4)], files)
    rig.reports.before_confirm.clear()
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(60):
        while not _told(rig):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)  # in which it would work on the others, had it got them
    assert started.read_text().split() == ["1"]

    rig.reports.before_confirm.set()
    finished = await running

    assert started.read_text().split() == ["1", "2", "3", "4"]
    assert [row.row for row in (*_told(rig), *finished.rows)] == [1, 2, 3, 4]


@pytest.mark.parametrize("answers", ["only at the end", "in blocks"])
async def test_a_program_that_keeps_its_answers_back_gets_what_it_waits_for(tmp_path: Path, answers: str) -> None:
    program = ECHO.replace("sys.stdin:", "list(sys.stdin):") if answers == "only at the end" else BLOCKS
    files = {"buildyard.toml": _config("python", "handle.py"), "handle.py": program}
    rig = await _rows_rig(tmp_path, [{"n": str(number)} for number in range(1000)], files)

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert [row.result["double"] for row in results] == [2 * number for number in range(1000)]


async def test_odd_answers_are_errors_of_their_rows_only(tmp_path: Path) -> None:
    answers = [
        '{"fine": 1}', "no json", "[1]", '{"error": "this one failed"}', '{"row": 1}', '{"x": NaN}', '{"x": "\\ud800"}',
        '{"x": ' + "[" * 200 + "]" * 200 + "}", "[" * 100_000, '{"x": "' + "y" * 1_100_000 + '"}', '{"last": true}',
    ]  # fmt: skip
    program = "import sys\nsys.stderr.write('starting\\n')\nprint(open('answers').read(), end='')\n"
    files = {
        "buildyard.toml": _config("python", "p.py"), "p.py": f"import sys\nsys.stdin.read()\n{program}",
        "answers": "".join(f"{answer}\n" for answer in [*answers, "{}", "{}"]),
    }  # fmt: skip
    rig = await _rows_rig(tmp_path, [{"n": "1"} for _ in answers], files)

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert [row.row for row in results] == list(range(1, len(answers) + 1))
    assert [row.ok for row in results] == [True, *[False] * 9, True]
    assert results[3].error == "this one failed"
    assert "answered row 1 where row 5 was due" in results[4].error
    assert "not a line of JSON" in results[1].error
    assert "longer than" in results[9].error
    log = await rig.log_text()
    assert "starting" in log
    assert "2 lines of output answered no row" in log


async def test_rows_a_program_did_not_answer_before_it_ended_say_so(tmp_path: Path) -> None:
    program = "import sys; sys.stdin.readline(); print('{}'); sys.exit(7)"
    files = {"buildyard.toml": _config("python", "-c", program)}
    rig = await _rows_rig(tmp_path, [{"n": "1"}, {"n": "2"}, {"n": "3"}], files)

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert finished.outcome is Outcome.SUCCEEDED
    assert [row.ok for row in results] == [True, False, False]
    assert results[2].error == "The program ended with exit code 7 before it answered this row."


async def test_a_row_that_waited_for_the_program_when_it_ended_has_its_error_too(tmp_path: Path) -> None:
    program = (
        "import sys, time; r = sys.stdin.readline; r(); print('{}', flush=True); r(); time.sleep(0.3); sys.exit(7)"
    )
    files = {"buildyard.toml": _config("python", "-c", program)}
    rig = await _rows_rig(tmp_path, [{"n": str(number)} for number in range(4)], files)

    finished = await rig.run()

    results = [*_told(rig), *finished.rows]
    assert [(row.row, row.ok) for row in results] == [(1, True), (2, False), (3, False), (4, False)]


async def test_a_program_whose_rows_break_off_ends_with_its_job(tmp_path: Path) -> None:
    files = {"buildyard.toml": _config("python", "handle.py"), "handle.py": ECHO}
    rig = await _rows_rig(tmp_path, [{"n": "1"}, {"n": "2"}], files)
    whole = await rig.objects.read("rows.jsonl")
    await rig.objects.put("rows.jsonl", whole[:-5] + b"     ")
    async with asyncio.timeout(120):
        finished = await rig.run()

    assert finished.outcome is Outcome.FAILED
    assert finished.reason == "The batch's rows ended in the middle of a row."


async def test_a_program_that_is_not_there_fails_the_job(tmp_path: Path) -> None:
    files = {"buildyard.toml": _config("no-such-program")}
    rig = await _rows_rig(tmp_path, [{"n": "1"}], files)

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.TOOL_MISSING)


async def test_a_hanging_program_is_ended_with_its_job(tmp_path: Path) -> None:
    program = f"import time; open({str(tmp_path / 'up')!r}, 'w').close(); time.sleep(600)"
    files = {"buildyard.toml": _config("python", "-c", program)}
    rig = await _rows_rig(tmp_path, [{"n": "1"}], files)
    running = asyncio.create_task(rig.run())
    async with asyncio.timeout(60):
        while not (tmp_path / "up").exists():
            await asyncio.sleep(0.01)

    rig.attempt.stop.stop(StopCause.TIMED_OUT)
    finished = await running

    assert (finished.outcome, finished.rows) == (Outcome.TIMED_OUT, ())


async def test_a_batch_of_an_archive_is_found_by_its_configuration(tmp_path: Path) -> None:
    content = zipped({"buildyard.toml": _config("python", "p.py"), "p.py": ECHO, "data.csv": "n\n1\n2\n3\n"})
    rig = rig_of(tmp_path, job_spec(upload_of(content), rows_per_job=2))
    await rig.objects.put(UPLOAD_KEY, content)

    finished = await rig.run()

    assert finished.found is not None, finished.reason
    assert finished.found.handler == "program"
    assert [(chunk.span.first, chunk.span.count) for chunk in finished.found.chunks] == [(1, 2), (3, 1)]


async def test_a_rows_file_outside_the_source_is_refused(tmp_path: Path) -> None:
    content = zipped({"buildyard.toml": "[batch]\nrows = '../secret.csv'\nrun = ['x']\n"})
    rig = rig_of(tmp_path, job_spec(upload_of(content)))
    await rig.objects.put(UPLOAD_KEY, content)

    assert (await rig.run()).reason_code is ReasonCode.CONFIGURATION_REFUSED


# ---------------------------------------------------------------- collecting


def _lines(*rows: RowResult) -> bytes:
    return b"".join(row.encode() + b"\n" for row in rows)


async def _collected(rig: Rig) -> dict[str, str]:
    finished = await rig.run()
    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    return {one.path: (await rig.objects.read(one.key)).decode() for one in finished.artifacts}


def _table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


async def test_results_and_errors_become_files(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(kind=JobKind.COLLECT))
    body = _lines(
        RowResult(
            row=1, ok=True, result={"values": {"name": "é, x", "row": "7"}, "sha256": "s", "issues": ["a.", "b."]}
        ),
        RowResult(row=2, ok=False, error="It failed."),
        RowResult(row=3, ok=True, result={"sum": 3, "deep": {"a": [1]}, "none": None}),
    )
    rig.producer.rows = [body[:20], body[20:90], body[90:]]

    files = await _collected(rig)

    assert _table(files["results.csv"]) == [
        ["row", "name", "result.row", "sha256", "issues", "sum", "deep", "none"],
        ["1", "é, x", "7", "s", "a.; b.", "", "", ""],
        ["3", "", "", "", "", "3", '{"a": [1]}', ""],
    ]
    assert _table(files["errors.csv"]) == [["row", "error"], ["2", "It failed."]]
    assert [json.loads(line)["row"] for line in files["results.jsonl"].splitlines()] == [1, 2, 3]
    assert rig.reports.stages() == [("publish", "succeeded")]


async def test_a_stream_of_results_that_breaks_is_read_again_from_its_start(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(kind=JobKind.COLLECT))
    rig.producer.rows = [_lines(RowResult(row=number, ok=True, result={"n": number})) for number in (1, 2)]
    rig.producer.break_rows_after = 1

    assert _table((await _collected(rig))["results.csv"]) == [["row", "n"], ["1", "1"], ["2", "2"]]


async def test_a_producer_that_stays_away_fails_the_collecting_by_a_cause_that_is_tried_again(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(kind=JobKind.COLLECT))
    rig.producer.away = True

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.FAILED, ReasonCode.WORKER_ERROR)


@pytest.mark.parametrize("columns", [3000])
async def test_too_many_different_keys_become_one_column(tmp_path: Path, columns: int) -> None:
    rig = rig_of(tmp_path, job_spec(kind=JobKind.COLLECT))
    rig.producer.rows = [_lines(RowResult(row=1, ok=True, result={f"k{number}": number for number in range(columns)}))]

    table = _table((await _collected(rig))["results.csv"])

    assert table[0] == ["row", "result"]
    assert json.loads(table[1][1])["k7"] == 7
