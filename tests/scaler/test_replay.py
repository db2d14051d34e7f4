"""What was recorded comes out the same when it is decided again; a changed `decide` is noticed.

`python -m tests.scaler.test_replay` writes the golden recording anew, when a decision was changed on purpose.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.scaling import (
    Decision,
    DecisionCode,
    PoolObserved,
    ScalingPolicy,
    Trust,
    WorkerState,
)
from scaler.decide import decide
from scaler.history import entries, verified
from scaler.record import DecisionRecord
from scaler.verbs import run
from tests.scaler.fakes import START
from tests.scaler.observing import crowd, known, observed, shared, suits, unknown, worker
from tests.scaler.test_decide_properties import sights

GOLDEN = Path(__file__).parent / "golden" / "recording.jsonl"
PENDING, IDLE, BUSY = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY


def one_of_each() -> Iterator[PoolObserved]:
    """Views that between them lead to every reason code, by both policies."""
    for name in ("burst", "elastic"):
        policy = ScalingPolicy.model_validate({"name": name, "max_workers": 8})
        views = (
            observed(ready=41),
            observed(ready=41, workers=crowd(PENDING, PENDING)),
            observed(ready=41, workers=crowd(*[PENDING] * 5)),
            observed(ready=3),
            observed(ready=3, workers=crowd(PENDING)),
            observed(ready=3, workers=crowd(BUSY), oldest=2),
            observed(ready=3, workers=crowd(BUSY), oldest=75.5),
            observed(ready=9, workers=crowd(*[BUSY] * 8), oldest=75.5),
            observed(ready=known(9, Trust.STALE)),
            observed(ready=unknown()),
            observed(ready=9, workers=None),
            observed(ready=9, failed_starts=3, since_failed=4),
            observed(leases=2, workers=crowd(BUSY, BUSY)),
            observed(queue_total=unknown("The answer took 0.2 s or more."), workers=crowd(IDLE)),
            observed(workers=crowd(IDLE, IDLE), quiet_seconds=12.25),
            observed(workers=crowd(IDLE, PENDING, IDLE), quiet_seconds=30, generations={1: 4, 3: 2}),
            observed(workers=crowd(PENDING), quiet_seconds=30),
            observed(generations={1: 5}),
            observed(workers=crowd(IDLE), suiting=suits(idle=1, on_trial=2)),
            observed(ready=2, workers=crowd(IDLE, BUSY), oldest=99, suiting=suits(idle=1)),
            observed(ready=2, leases=1, workers=crowd(IDLE, BUSY), oldest=99, suiting=suits(idle=1, held=2)),
            observed(leases=1, workers=crowd(IDLE, BUSY), suiting=suits(idle=1, tried=2)),
            observed(ready=9, workers=(*crowd(BUSY, BUSY), worker(3, PENDING, age=20.5)), oldest=9, start_seconds=45),
            observed(ready=3, farm=shared(5, held=5)),
            observed(ready=50, workers=crowd(BUSY, BUSY), farm=shared(4, held=0, wanted=9)),
            observed(ready=50, workers=crowd(BUSY), farm=shared(6, held=1, wanted=9)),
            observed(leases=3, workers=crowd(BUSY, IDLE, BUSY, BUSY), farm=shared(4, held=0, wanted=1, starving=True)),
        )
        for view in views:
            yield view.model_copy(update={"policy": policy})
            yield view.model_copy(update={"policy": policy, "job_seconds": 11.5})


def golden_lines() -> Iterator[bytes]:
    for number, seen in enumerate(one_of_each(), start=1):
        at = START + timedelta(seconds=number)
        yield Decision(number=number, at=at, woken_by="tick", observed=seen, plan=decide(seen)).encode() + b"\n"


def test_the_golden_recording_comes_out_the_same() -> None:
    """Changed on purpose? Then write it anew (see above), and say in the changelog what decides otherwise."""
    found = verified(entries(GOLDEN.read_bytes().splitlines()))

    assert (found.mismatches, found.unread) == ((), 0)
    assert found.decided == len(list(one_of_each()))


def test_the_golden_recording_holds_every_reason_code() -> None:
    codes = {json.loads(line)["plan"]["code"] for line in GOLDEN.read_text().splitlines()}

    assert codes == {code.value for code in DecisionCode}


@given(st.lists(st.tuples(sights, st.integers(0, 3)), max_size=8))
@settings(max_examples=40, deadline=None)
def test_whatever_is_recorded_is_decided_the_same_again(
    tmp_path_factory: pytest.TempPathFactory, views: list[tuple[PoolObserved, int]]
) -> None:
    folder = tmp_path_factory.mktemp("record")
    record = DecisionRecord(folder)
    ticks = 0
    for seen, repeats in views:
        for _ in range(1 + repeats):
            ticks += 1
            record.add(START + timedelta(seconds=ticks), "tick", seen, decide(seen))
    record.close()

    found = verified(entries(line for file in folder.iterdir() for line in file.read_bytes().splitlines()))
    assert (found.ticks, found.unread, found.mismatches) == (ticks, 0, ())


def test_a_plan_that_comes_out_otherwise_is_found_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = GOLDEN.read_text().splitlines()
    changed = json.loads(lines[0])
    changed["plan"]["start"].pop()
    file = tmp_path / "changed.jsonl"
    file.write_text("\n".join([json.dumps(changed, separators=(",", ":")), *lines[1:], "cut off"]) + "\n")

    assert run(["verify", str(file)]) == 1
    told = capsys.readouterr().out
    assert "Decision 1 was: 41 jobs wait, more than 40" in told
    assert f"{len(lines) - 1} of {len(lines)} recorded views give the same plan" in told
    assert "1 lines could not be read" in told


def test_a_recording_is_verified_by_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--json", str(GOLDEN.parent)]) == 0
    assert json.loads(capsys.readouterr().out)["mismatches"] == []


def test_nothing_to_verify_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(tmp_path)]) == 1
    assert run(["verify", str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_bytes(b"".join(golden_lines()))
    sys.stdout.write(f"{GOLDEN} is written anew.\n")
