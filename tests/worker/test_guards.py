"""The worker's guards at start, at its end and without room, each tried with it and without it."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from buildyard.contracts.agents import AgentJoined
from buildyard.contracts.builds import Outcome
from buildyard.contracts.messages import JobFinished
from buildyard.errors import ProducerUnavailable
from tests.guards import holds_only_with
from tests.worker.fakes import FakeProducer
from tests.worker.test_agent import QUICK, farm
from worker import tickets
from worker.app import Agent
from worker.joining import Joining
from worker.leaving import Urgency
from worker.tickets import TicketDesk

SHORT = 3.0
"""Seconds after which a check gives up whose guard is gone: it would wait until a platform kills the worker."""

patience = 90.0


async def test_what_a_terminated_worker_had_in_hand_goes_back_in_time_because_it_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says nothing before the platform's SIGKILL costs the job an attempt."""
    runs = count()

    async def check() -> list[str]:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        gate = folder / "gate"
        async with farm(folder) as here:
            await here.give(f"all:\n\t@while ! test -e {gate}; do sleep 0.05; done\n")
            await here.until(here.started)
            here.agent.leave(Urgency.TERMINATE, "SIGTERM")
            done, _ = await asyncio.wait({here.running}, timeout=patience)
            gate.touch()
            if not done:
                return ["it was killed with the job in hand"]
            (finished,) = await here.seen(JobFinished)
            return [] if finished.outcome is Outcome.HANDED_BACK else [f"it said {finished.outcome}"]

    async def deaf(_: Agent) -> None:
        await asyncio.Event().wait()

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Agent, "_stop_in_time", deaf)
        patch.setitem(globals(), "patience", SHORT)

    await holds_only_with(guard_out, check, monkeypatch)


async def test_a_worker_without_room_fails_no_build_because_it_looks_before_it_claims(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count()
    monkeypatch.setattr(tickets, "free_disk_bytes", lambda _: 1000)

    async def check() -> list[str]:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        with capture_logs() as said:
            async with farm(folder) as here:
                await here.give(QUICK)
                await here.until(lambda: [*here.producer.claims, *(one for one in said if "no job" in one["event"])])
                return ["it took a job with 1000 bytes left"] if here.producer.claims else []

    await holds_only_with(lambda patch: patch.setattr(TicketDesk, "_lack_of_room", lambda _: ""), check, monkeypatch)


async def test_a_worker_that_is_there_before_its_producer_joins_because_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = count()

    def away(producer: FakeProducer) -> None:
        producer.away = True

    async def check() -> list[str]:
        folder = tmp_path / str(next(runs))
        folder.mkdir()
        with capture_logs() as said:
            async with farm(folder, away, wait=False) as here:
                while not here.running.done() and not any("waiting" in one["event"] for one in said):
                    await asyncio.sleep(0.01)
                here.producer.away = False
                ready = asyncio.create_task(here.ready.wait())
                await asyncio.wait({here.running, ready}, return_when=asyncio.FIRST_COMPLETED, timeout=patience)
                ready.cancel()
                return [] if here.ready.is_set() else ["it left because its producer was late"]

    async def once(self: Joining) -> AgentJoined | None:
        try:
            return await self.join_once()
        except ProducerUnavailable as error:
            self._leaving.decide(Urgency.DRAIN, str(error))
            return None

    await holds_only_with(lambda patch: patch.setattr(Joining, "join", once), check, monkeypatch)
