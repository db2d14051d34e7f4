"""`buildyard batch`: rows go up, are counted, and their results come back whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Seen
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
BUILD = f"/api/v1/builds/{ID}"
ROWS = b"row,ok,error,result\r\n1,true,,{}\r\n"


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "data.csv"
    path.write_text("id\n1\n2\n")
    return str(path)


def _ending(server: FakeServer, **status: Any) -> None:
    told: list[tuple[str, dict[str, Any]]] = [
        ("rows_done", {"succeeded": 1, "failed": 1, "total": 2}),
        ("build_ended", {"status": "Failed"}),
    ]
    events = [
        {"buildId": ID, "seq": seq, "type": kind, "at": answers.AT, "data": more}
        for seq, (kind, more) in enumerate(told, start=1)
    ]
    pieces = tuple(f"data: {json.dumps(event)}\n\n".encode() for event in events)
    rows = {"total": 2, "succeeded": 1, "failed": 1}
    server.on("POST", "/upload", Reply(202, answers.accepted()))
    server.on("GET", f"{BUILD}/events", Reply(pieces=pieces))
    server.on("GET", BUILD, answers.status(rows=rows, **status))
    server.on("GET", f"{BUILD}/rows", Reply(pieces=(ROWS,)))


def _request(seen: Seen) -> Any:
    return json.loads(seen.body.split(b'name="request"\r\n\r\n')[1].split(b"\r\n--")[0])


def test_a_batch_is_run_to_its_end_and_its_results_saved(
    shell: Shell, server: FakeServer, data: str, tmp_path: Path
) -> None:
    _ending(server)
    ran = shell("batch", "run", data, "--rows-per-job", "10", "-o", str(tmp_path / "rows.csv"))
    assert (ran.code, ran.out) == (0, f"{ID}\n")
    assert _request(server.seen[0])["job"]["rowsPerJob"] == 10
    assert "2 of 2 rows done, 1 failed." in ran.err
    assert (tmp_path / "rows.csv").read_bytes() == ROWS


def test_a_batch_with_a_row_that_fails_ends_with_one_and_what_to_do(
    shell: Shell, server: FakeServer, data: str
) -> None:
    _ending(server, status="Failed", reasonCode="rows_failed", reason="1 of 2 rows failed.")
    ran = shell("batch", "run", data)
    assert ran.code == 1
    assert f"buildyard batch results {ID} --errors" in ran.err
    assert shell("batch", "run", data, "--json").json()["rows"]["failed"] == 1


def test_a_batch_may_be_left_alone(shell: Shell, server: FakeServer, data: str) -> None:
    _ending(server)
    assert shell("batch", "run", data, "--detach").out == f"{ID}\n"
    assert [seen.path for seen in server.seen] == ["/upload"]
    assert shell("batch", "run", data, "-d", "--json").json()["executionId"] == ID


@pytest.mark.parametrize(
    ("words", "form", "failed"),
    [
        (("rows.csv",), "csv", None),
        (("rows.jsonl",), "jsonl", None),
        (("rows.txt", "--format", "jsonl", "--errors"), "jsonl", "1"),
    ],
)
def test_results_are_saved_as_the_file_is_called(
    shell: Shell, server: FakeServer, tmp_path: Path, words: tuple[str, ...], form: str, failed: str | None
) -> None:
    _ending(server)
    target = tmp_path / words[0]
    assert shell("batch", "results", ID, "-o", str(target), *words[1:]).code == 0
    assert target.read_bytes() == ROWS
    assert (server.seen[0].query["format"], server.seen[0].query.get("failed")) == (form, failed)


def test_results_that_break_off_leave_no_file(shell: Shell, server: FakeServer, tmp_path: Path) -> None:
    server.on("GET", f"{BUILD}/rows", Reply(pieces=(ROWS,), breaks=True))
    assert shell("batch", "results", ID, "-o", str(tmp_path / "rows.csv")).code == 3
    assert list(tmp_path.iterdir()) == []
