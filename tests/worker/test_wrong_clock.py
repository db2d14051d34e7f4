"""A worker whose machine's clock is set back and forward all the time: only what it says of the time is wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.builds import Outcome
from buildyard.contracts.messages import Heartbeat, JobFinished
from tests.worker.fakes import stored_lines
from tests.worker.test_agent import farm

LINES = 40
DECADE = timedelta(days=3650)
COUNTING = f"all:\n\t@for n in $$(seq {LINES}); do echo $$n; sleep 0.02; done\n"


async def test_a_clock_that_is_set_all_the_time_ends_no_job_stops_no_heartbeat_and_mixes_up_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, jumps = SystemClock.now, cycle((DECADE, -DECADE, timedelta(0)))

    def wrong(clock: SystemClock) -> datetime:
        return right(clock) + next(jumps)

    monkeypatch.setattr(SystemClock, "now", wrong)
    async with farm(tmp_path, orphan_grace_seconds=5) as here:
        spec = await here.give(COUNTING, timeout=60)
        (finished,) = await here.seen(JobFinished)
        beats = await here.seen(Heartbeat, 3)
        lines = await stored_lines(here.objects, spec)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    times = [beat.at for beat in beats]
    assert max(times) - min(times) > DECADE, "its clock was wrong"
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["text"] for line in lines if line["text"].isdigit()] == [str(n) for n in range(1, LINES + 1)]
    assert [line["at"] for line in lines] != sorted(line["at"] for line in lines), "lines are in order all the same"
