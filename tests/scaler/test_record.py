"""The record of decisions: every tick in memory, every change and every count of repeats on disk."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from buildyard.contracts.scaling import Decision, PoolObserved, WorkerState
from scaler import journal
from scaler import record as record_module
from scaler.decide import decide
from scaler.journal import _place
from scaler.record import DecisionRecord, Wanted
from tests.scaler.fakes import START
from tests.scaler.observing import crowd, known, observed, shared

CALM = observed()
WORK = observed(ready=1)


def add(
    record: DecisionRecord, seen: PoolObserved = CALM, seconds: float = 0, failures: tuple[str, ...] = ()
) -> Decision:
    return record.add(START + timedelta(seconds=seconds), "tick", seen, decide(seen), failures)


def lines(folder: Path, *, skip_cut: bool = False) -> list[dict[str, Any]]:
    found = [line for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in found if not skip_cut or line.rstrip().endswith("}")]


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
    assert numbers(record.newest(10, Wanted(pool="docker"))) == [4, 2]
    assert numbers(record.newest(10, Wanted(since=3))) == [5, 4]
    assert numbers(record.newest(10, Wanted(below=3))) == [2, 1]


def test_repeats_can_be_left_out_of_the_newest(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for seen in (CALM, CALM, WORK, WORK, CALM):
        add(record, seen)

    assert numbers(record.newest(10, Wanted(only_news=True))) == [5, 3, 1]
    assert numbers(record.newest(10)) == [5, 4, 3, 2, 1]
    record.close()


def test_memory_holds_the_last_ones_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_module, "KEPT_DECISIONS", 3)
    record = DecisionRecord(tmp_path)
    for _ in range(5):
        add(record)
    record.close()

    assert numbers(record.newest(10)) == [5, 4, 3]


def test_memory_holds_no_more_than_its_bytes_and_always_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    (size,) = map(len, record.newest(10))
    monkeypatch.setattr(record_module, "KEPT_BYTES", 2 * size + size // 2)
    for _ in range(3):
        add(record)
    assert numbers(record.newest(10)) == [4, 3]
    assert record.oldest_in_memory == 3

    monkeypatch.setattr(record_module, "KEPT_BYTES", 1)
    add(record)
    assert numbers(record.newest(10)) == [5]
    record.close()


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
        "quietSeconds": 0.0,
        "oldestWaitSeconds": None,
        "secondsSinceFailedStart": None,
    }
    assert (last["number"], last["plan"]["start"]) == (5, ["linux-1-1"])


def test_every_repeat_is_on_disk_at_once_in_one_line_that_is_written_over(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for second in range(5):
        add(record, seconds=second)
        told = lines(tmp_path)
        assert [line.get("to") for line in told] == [None, second + 1][: 1 + bool(second)]

    size = next(tmp_path.iterdir()).stat().st_size
    for second in range(5, 400):
        add(record, seconds=second)
    assert next(tmp_path.iterdir()).stat().st_size == size
    assert lines(tmp_path)[1]["ticks"] == 399
    record.close()


def test_a_wait_that_only_goes_on_is_no_news(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    full = observed(ready=50, workers=crowd(*[WorkerState.BUSY] * 8))
    for second in range(3):
        add(record, full.model_copy(update={"oldest_wait_seconds": 10.0 + second}), seconds=second)
    record.close()

    assert [(line.get("ticks"), line.get("oldestWaitSeconds")) for line in lines(tmp_path)][1:] == [(2, 12.0)]


@pytest.mark.parametrize(
    "other",
    [
        observed(queue_ready=known(1)),
        observed(workers=crowd(WorkerState.BUSY)),
        observed(workers=None),
        observed(generations={1: 1}),
        observed(failed_starts=1),
        observed(farm=shared(9, held=1)),
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
    assert [line.get("number") for line in lines(tmp_path, skip_cut=True)] == [5, 1, None]


def test_files_are_bounded_in_size_and_number_and_named_by_day(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path, max_bytes=5 * 3_000)
    for step in range(20):
        add(record, observed(ready=step + 1), seconds=step)
    add(record, CALM, seconds=86_400)
    record.close()

    files = sorted(path.name for path in tmp_path.iterdir())
    assert "2026-11-22.jsonl" in files
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5 * 3_000
    assert json.loads((tmp_path / "2026-11-22.jsonl").read_text())["number"] == 21


def test_files_of_days_long_past_go(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path, keep_days=2)
    for day in range(5):
        add(record, seconds=day * 86_400)
    record.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"2026-11-{day}.jsonl" for day in (23, 24, 25)]


def test_a_new_day_begins_with_a_whole_decision_so_that_each_file_stands_for_itself(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    for second in (0, 1, 86_400, 86_401):
        add(record, seconds=second)
    record.close()

    assert [line.get("number", line.get("repeats")) for line in lines(tmp_path)] == [1, 1, 3, 3]


def test_each_scaler_begins_a_file_of_its_own_and_not_too_many_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MOST_FILES", 3)
    for _ in range(5):
        record = DecisionRecord(tmp_path)
        add(record)
        record.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == [f"2026-11-21.{number}.jsonl" for number in (2, 3, 4)]
    assert sorted(line["number"] for line in lines(tmp_path)) == [3, 4, 5]


def test_who_leads_again_goes_on_where_the_other_one_ended_in_a_new_file(tmp_path: Path) -> None:
    one, other = DecisionRecord(tmp_path), DecisionRecord(tmp_path)
    add(one)
    other.go_on()
    for _ in range(2):
        add(other)
    one.go_on()
    add(one)
    other.go_on()
    add(other)
    for record in (one, other):
        record.close()

    files = [lines for path in sorted(tmp_path.iterdir(), key=_place) for lines in path.read_text().splitlines()]
    assert [json.loads(line).get("number") or json.loads(line)["to"] for line in files] == [1, 2, 3, 4, 5]


def test_two_scalers_of_one_folder_write_to_files_of_their_own(tmp_path: Path) -> None:
    one, other = DecisionRecord(tmp_path), DecisionRecord(tmp_path)
    for record in (one, other, one, other):
        add(record)
    one.close()
    other.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-11-21.1.jsonl", "2026-11-21.jsonl"]
    assert len(lines(tmp_path)) == 4


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Every write beyond this length of a file is cut, or refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fills_up_leaves_no_half_line_and_takes_new_ones_when_it_has_room(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    with files_no_larger_than(next(tmp_path.iterdir()).stat().st_size + 100):
        assert add(record, WORK).number == 2
        assert add(record, WORK).number == 3
    add(record, WORK)
    add(record, WORK)
    record.close()

    assert [line.get("number", line.get("to")) for line in lines(tmp_path)] == [1, 4, 5]
    assert numbers(record.newest(9)) == [5, 4, 3, 2, 1]


_ENDLESS = """
import sys
from pathlib import Path
from datetime import timedelta
from scaler.decide import decide
from scaler.record import DecisionRecord
from tests.scaler.fakes import START
from tests.scaler.observing import observed
record = DecisionRecord(Path(sys.argv[1]))
for step in range(10**9):
    seen = observed(ready=1 + step // 50)
    done = record.add(START + timedelta(milliseconds=step), "tick", seen, decide(seen))
    print(done.number, flush=True)
"""


def test_a_scaler_that_is_killed_loses_at_most_the_decision_at_hand(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as scaler:
        assert scaler.stdout is not None
        for line in scaler.stdout:
            if int(line) >= 333:
                scaler.send_signal(signal.SIGKILL)
                break
        told = [int(line), *(int(rest) for rest in scaler.stdout if rest.endswith("\n"))]

    later = DecisionRecord(tmp_path)
    ticks = sum(1 + one.repeats for one in later.on_disk(Wanted()))
    assert add(later).number >= told[-1] + 1
    assert ticks >= told[-1]
    later.close()


def test_a_restarted_scaler_still_knows_what_was_decided_before(tmp_path: Path) -> None:
    before = DecisionRecord(tmp_path)
    for second, seen in enumerate((CALM, CALM, CALM, WORK, CALM)):
        add(before, seen, seconds=second)
    before.close()

    after = DecisionRecord(tmp_path)
    found = list(after.on_disk(Wanted()))
    assert [(one.number, one.repeats) for one in found] == [(5, 0), (4, 0), (1, 2)]
    assert found[2].until == START + timedelta(seconds=2)
    assert [one.number for one in after.on_disk(Wanted(since=1, below=5))] == [4]
    after.close()


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [(None, 2.5, [1]), (2, None, [5, 4, 1]), (2.5, 3.5, [4]), (9, None, []), (None, -1, [])],
)
def test_decisions_are_found_by_the_time_in_which_they_held(
    tmp_path: Path, after: float | None, before: float | None, expected: list[int]
) -> None:
    record = DecisionRecord(tmp_path)
    for second, seen in enumerate((CALM, CALM, CALM, WORK, CALM)):
        add(record, seen, seconds=second)
    begin = START + timedelta(seconds=after) if after is not None else None
    end = START + timedelta(seconds=before) if before is not None else None

    assert [one.number for one in record.on_disk(Wanted(after=begin, before=end))] == expected
    record.close()


def test_lines_that_nobody_can_read_are_left_out(tmp_path: Path) -> None:
    record = DecisionRecord(tmp_path)
    add(record)
    record.close()
    with next(tmp_path.iterdir()).open("ab") as file:
        file.write(b'{"v":1,"number":7,"at":"x"}\n\xff\xfe\n\n{"v":1,"num')

    later = DecisionRecord(tmp_path)
    assert [one.number for one in later.on_disk(Wanted())] == [1]
    later.close()


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
