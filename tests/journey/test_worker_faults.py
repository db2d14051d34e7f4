"""Workers that die at every moment there is, one by one: whatever befalls them, each effect is there once."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from buildyard.contracts.api import BuildStatus
from tests.journey.faulty_worker import AT_ANY_CLAIM, COMMANDS, MOMENTS, POISON, WRONG_CLOCK
from tests.journey.faulty_yard import broken_promises, killed, marks, open_faulty_yard, staged_project
from tests.journey.test_faults import gone
from tests.journey.yard import Yard

_WAITS = 4
"""A worker starts for each moment, so that a loaded machine needs more than the usual patience."""
pytestmark = [pytest.mark.journey]


@pytest.mark.timeout(480)  # a worker starts for each moment
async def test_a_worker_killed_at_any_moment_of_its_work_loses_and_doubles_nothing(
    where: dict[str, str], tmp_path: Path
) -> None:
    mark = f"75{os.getpid()}"
    async with open_faulty_yard(tmp_path, where, max_workers=5) as yard:
        builds = {
            moment: await yard.submit(staged_project(tmp_path, moment, mark), projectName=moment) for moment in MOMENTS
        }
        poison = await yard.submit(staged_project(tmp_path, POISON, mark), projectName=POISON)
        late = await yard.submit(staged_project(tmp_path, WRONG_CLOCK, mark), projectName=WRONG_CLOCK)
        ends = {moment: await _end(yard, build) for moment, build in builds.items()}
        dead = await _end(yard, poison)
        at_odds = await _end(yard, late)

        assert {path.name for path in marks(tmp_path).iterdir()} == {AT_ANY_CLAIM, *MOMENTS}, "each moment came"
        wrong = {moment: await broken_promises(yard, end, tmp_path / "out" / moment) for moment, end in ends.items()}
        assert {moment: sentences for moment, sentences in wrong.items() if sentences} == {}
        first = {moment: end.attempts[0].outcome for moment, end in ends.items() if moment != "after job_finished"}
        assert set(first.values()) == {"Lost"}, first
        await gone(f"sleep 600.{mark}")

        assert (dead.status, dead.reason_code) == ("Failed", "worker_lost")
        assert dead.reason.startswith("Its worker died 3 times"), dead.reason
        assert [attempt.outcome for attempt in dead.attempts] == ["Lost"] * 3
        assert [letter.execution_id for letter in (await yard.producer.dead_letters()).dead] == [poison]
        assert await broken_promises(yard, at_odds, tmp_path / "out" / WRONG_CLOCK) == []
        assert [one.outcome for one in at_odds.attempts] == ["Succeeded"], "a wrong clock costs no attempt"
        assert await _disorder(yard, at_odds) == []
        assert killed(yard) == len(MOMENTS) + 1 + 3, "and each killed a worker, once"


async def _disorder(yard: Yard, status: BuildStatus) -> list[str]:
    """What of a build's times and log lines is out of order, in sentences."""
    said = [line.split()[1] for line in (await yard.log(status.execution_id)).split("\n") if line.startswith("line ")]
    wrong = [] if said == [stage.value for stage in COMMANDS] else [f"its log says {said}"]
    told = [status.start_time, *(one.start_time for one in status.stages), status.end_time]
    times = [one for one in told if one is not None]
    return wrong if times == sorted(times) else [*wrong, f"its times are {times}"]


async def _end(yard: Yard, build: str) -> BuildStatus:
    for _ in range(_WAITS - 1):
        with suppress(TimeoutError):
            return await yard.end(build)
    return await yard.end(build)
