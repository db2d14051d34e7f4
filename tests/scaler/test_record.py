"""The record of decisions: every tick in memory, every change and every count of repeats on disk."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from buildyard.contracts.scaling import Decision, PoolObserved, WorkerState
from scaler import record as record_module
from scaler.decide import decide
from scaler.record import DecisionRecord
from tests.scaler.fakes import START
from tests.scaler.observing import crowd, known, observed

CALM = observed()
WORK = observed(ready=1)


def add(
    record: DecisionRecord, seen: PoolObserved = CALM, seconds: float = 0, failures: tuple[str, ...] = ()
) -> Decision:
    return record.add(START + timedelta(seconds=seconds), "tick", seen, decide(seen), failures)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]


def numbers(found: list[bytes]) -> list[int]:
    return [Decision.model_validate_json(line).number for line in found]


def test_every_tick_gets_a_number_and_is_kept_also_for_nothing(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for _ in range(3):
        add(record)
    record.close()

    assert numbers(record.newest(10)) == [3, 2, 1]


def test_the_newest_are_found_by_pool_by_number_and_by_limit(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    docker = CALM.model_copy(update={"pool": "docker"})
    for seen in (CALM, docker, CALM, docker, CALM):
        add(record, seen)
    record.close()

    assert numbers(record.newest(2)) == [5, 4]
    assert numbers(record.newest(10, pool="docker")) == [4, 2]
    assert numbers(record.newest(10, since=3)) == [5, 4]


def test_repeats_can_be_left_out_of_the_newest(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for seen in (CALM, CALM, WORK, WORK, CALM):
        add(record, seen)

    assert numbers(record.newest(10, only_news=True)) == [5, 3, 1]
    assert numbers(record.newest(10)) == [5, 4, 3, 2, 1]
    record.close()


def test_memory_holds_the_last_ones_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "KEPT_DECISIONS", 3)
    record = DecisionRecord(tmp_path)
    for _ in range(5):
        add(record)
    record.close()

    assert numbers(record.newest(10)) == [5, 4, 3]


def test_repeats_are_counted_on_disk_until_something_changes(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for second in range(4):
        add(record, seconds=second)
    add(record, WORK, seconds=4)
    record.close()

    first, repeats, last = lines(tmp_path)
    assert (first["number"], first["plan"]["code"]) == (1, "nothing_to_do")
    assert repeats == {
        "v": 1,
        "pool": "linux",
        "repeats": 1,
        "from": 2,
        "to": 4,
        "ticks": 3,
        "until": "2026-11-21T09:30:03.000Z",
    }
    assert (last["number"], last["plan"]["start"]) == (5, ["linux-1-1"])


def test_repeats_are_told_at_least_once_a_minute(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for second in range(0, 151, 10):
        add(record, seconds=second)

    assert [(line.get("from"), line.get("to")) for line in lines(tmp_path)] == [(None, None), (2, 7), (8, 13)]
    record.close()
    assert lines(tmp_path)[-1]["to"] == 16


@pytest.mark.parametrize(
    "other",
    [
        observed(queue_ready=known(1)),
        observed(workers=crowd(WorkerState.BUSY)),
        observed(workers=None),
        observed(generations={1: 1}),
        observed(failed_starts=1),
    ],
)
def test_what_changes_in_substance_is_written(tmp_path: Path, other: PoolObserved) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    add(record, other)
    record.close()

    assert [line.get("number") for line in lines(tmp_path)] == [1, 2]


def test_ages_alone_are_no_news(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    add(
        record,
        CALM.model_copy(update={"ready": CALM.ready.model_copy(update={"age_seconds": 0.5}), "quiet_seconds": 9}),
    )
    record.close()

    assert lines(tmp_path)[1]["repeats"] == 1


def test_pools_are_told_apart(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    docker = CALM.model_copy(update={"pool": "docker"})
    for seen in (CALM, docker, CALM, docker):
        add(record, seen)
    record.close()

    assert [(line["pool"], line["from"], line["ticks"]) for line in lines(tmp_path)[2:]] == [
        ("linux", 3, 1),
        ("docker", 4, 1),
    ]


def test_numbers_go_on_after_a_restart_whether_the_last_line_was_cut_or_told_of_repeats(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for _ in range(4):
        add(record)
    record.close()
    with next(tmp_path.iterdir()).open("a") as file:
        file.write('{"number": 99')

    later = DecisionRecord(tmp_path)
    assert add(later).number == 5
    later.close()
    assert json.loads(next(tmp_path.iterdir()).read_text().splitlines()[-1])["number"] == 5


def test_files_are_bounded_in_size_and_number_and_named_by_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "FILE_BYTES", 3_000)
    record = DecisionRecord(tmp_path)
    for step in range(20):
        add(record, observed(ready=step + 1), seconds=step)
    add(record, CALM, seconds=86_400)
    record.close()

    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == record_module.KEPT_FILES
    assert "2026-11-22.jsonl" in files
    assert all(path.stat().st_size <= 3_000 for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "2026-11-22.jsonl").read_text())["number"] == 21


def test_a_second_scaler_of_the_day_appends(tmp_path: Path) -> None:
    for _ in range(2):
        record = DecisionRecord(tmp_path)
        add(record)
        record.close()

    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-21.jsonl"]
    assert [line["number"] for line in lines(tmp_path)] == [1, 2]


def test_a_disk_that_refuses_stops_no_decision(tmp_path: Path) -> None:
    (tmp_path / "decisions").write_text("no folder")
    record = DecisionRecord(tmp_path / "decisions")

    assert add(record).number == 1
    assert numbers(record.newest(1)) == [1]
    record.close()


def test_moments_are_written_in_utc(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    record.close()

    assert datetime.fromisoformat(lines(tmp_path)[0]["at"]) == START
