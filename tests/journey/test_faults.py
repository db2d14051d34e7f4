"""Builds that hang, are cancelled, or lose their worker or the producer: each ends, and nothing is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from buildyard.contracts.wire import rfc3339
from tests.journey.yard import Yard, make_project, open_yard, until
from tests.servers import need

pytestmark = [pytest.mark.journey]


@pytest.fixture(autouse=True)
def _make() -> None:
    need("make")


def processes_with(text: str) -> list[int]:
    """Processes, by pid, whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def gone(text: str) -> None:
    async def none_left() -> bool:
        return not processes_with(text)

    await until(none_left)


async def test_a_hanging_build_ends_timed_out_with_no_process_left(where: dict[str, str], tmp_path: Path) -> None:
    mark = f"sleep 61{os.getpid()}"
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(make_project(f"setsid {mark} & {mark}"), timeoutMinutes="0.05")

        status = await yard.end(build)

        assert (status.status, status.reason_code) == ("TimedOut", "timed_out")
        assert status.reason
        await gone(mark)


async def test_a_queued_and_a_running_build_are_cancelled(where: dict[str, str], tmp_path: Path) -> None:
    mark = f"sleep 62{os.getpid()}"
    async with open_yard(tmp_path, where, "max_workers = 1") as yard:
        running = await yard.submit(make_project(mark))
        await yard.stage(running, "Build")
        queued = await yard.submit(make_project(mark))

        answers = [await yard.producer.cancel(build) for build in (queued, running)]

        assert answers[0].status == "Cancelled"
        for build in (queued, running):
            status = await yard.end(build)
            assert (status.status, status.reason_code) == ("Cancelled", "cancelled")
        await gone(mark)


async def test_a_worker_killed_in_build_loses_nothing_its_job_runs_again(where: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    mark = f"sleep 63{os.getpid()}"
    async with open_yard(tmp_path, where) as yard:
        build = await yard.submit(make_project(f"test -e {gate} || {mark}"))
        await yard.stage(build, "Build")
        first = (await yard.producer.build(build)).agent
        assert first is not None
        gate.touch()
        os.kill((await yard.producer.agent(first.name)).pid, signal.SIGKILL)

        status = await yard.end(build)

        assert status.status == "Succeeded", status.reason
        assert [attempt.outcome for attempt in status.attempts] == ["Lost", "Succeeded"]
        await gone(mark)


async def test_a_restart_of_the_producer_loses_nothing_accepted(where: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with open_yard(tmp_path, where) as yard:
        builds = [await yard.submit(make_project(f"while ! test -e {gate}; do sleep 0.05; done")) for _ in range(6)]
        await yard.stage(builds[0], "Build")
        assert yard.farm.producer.pid is not None
        os.kill(yard.farm.producer.pid, signal.SIGKILL)
        gate.touch()

        ends = [await yard.end(build) for build in builds]

        assert [(end.status, end.reason) for end in ends] == [("Succeeded", ends[0].reason)] * 6
        assert yard.farm.producer.restarts == 1


async def test_critical_starts_before_low_whatever_came_first(where: dict[str, str], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with open_yard(tmp_path, where, "max_workers = 1") as yard:
        blocker = await yard.submit(make_project(f"while ! test -e {gate}; do sleep 0.05; done"))
        await yard.stage(blocker, "Build")
        order = ["Low", "Normal", "High", "Critical"]
        waiting = {priority: await yard.submit(make_project("true"), priority=priority) for priority in order}
        gate.touch()

        starts = {priority: (await yard.end(build)).start_time for priority, build in waiting.items()}

        assert sorted(order, key=lambda one: rfc3339(starts[one])) == order[::-1]  # type: ignore[arg-type] # ended builds started


async def test_a_stopping_farm_hands_its_jobs_back_and_the_next_one_ends_them(
    where: dict[str, str], tmp_path: Path
) -> None:
    """A job that was handed back lost nobody anything: here a lost attempt would be its last."""
    gate = tmp_path / "gate"
    mark = f"sleep 64{os.getpid()}"
    env = {**where, "BUILDYARD_MAX_ATTEMPTS": "1"}
    async with open_yard(tmp_path, env) as yard:
        build = await yard.submit(make_project(f"test -e {gate} || {mark}"))
        await yard.stage(build, "Build")
    assert not processes_with(mark)
    gate.touch()

    async with open_yard(tmp_path, env) as again:
        status = await again.end(build)

    assert status.status == "Succeeded", status.reason
    assert [attempt.outcome for attempt in status.attempts] == ["HandedBack", "Succeeded"]


async def running_pids(yard: Yard) -> set[int | None]:
    """The pids of workers that hold a job."""
    return {agent.pid for agent in (await yard.producer.agents()).agents if agent.state == "Busy"}
