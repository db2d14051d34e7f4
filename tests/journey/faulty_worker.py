"""`python -m tests.journey.faulty_worker`: a worker that dies at named moments, each once, or goes without a guard.

The name of a build's project says what befalls its worker:

- one of MOMENTS: the worker kills itself there (SIGKILL), the first time that it gets so far with this project;
- `without` and words of GUARDS: these guards are taken out while the build is in hand;
- WRONG_CLOCK: each time that the worker asks what time it is, its machine's clock has been set anew.

BUILDYARD_FAULT_FOLDER is where each fault leaves a folder of its name: who makes it strikes, so none strikes twice.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import worker.__main__ as entry
import worker.job_in_hand
from buildyard.archives import extract
from buildyard.broker import open_broker
from buildyard.client import ProducerClient
from buildyard.clock import SystemClock
from buildyard.contracts.agents import ClaimAnswer, ClaimRequest
from buildyard.contracts.builds import JobSpec, StageName
from buildyard.contracts.messages import REPORT, AttemptOver, read_message
from buildyard.objects import open_objects
from buildyard.ports import REPORTS, Broker, Channel, Delivery, ObjectInfo, ObjectStore
from worker.batch.pace import Pace
from worker.stages import upload_fetch
from worker.tickets import TicketDesk

FOLDER = "BUILDYARD_FAULT_FOLDER"
AT_ANY_CLAIM = "before claim"
"""Nobody knows yet which build it will be: it strikes at the first claim of all."""
EARLY_ACK = "early acknowledgement"
"""From the moment that a test makes this in the folder, a ticket is acknowledged before its job is claimed."""
POISON = "poison"
"""An archive that kills whoever unpacks it, each time."""
WRONG_CLOCK = "wrong clock"
_DECADE = timedelta(days=3650)
COMMANDS = (StageName.RESTORE, StageName.BUILD, StageName.TEST, StageName.PACKAGE)
MOMENTS = (
    "after claim",
    *(
        moment.format(stage=stage.value)
        for stage in StageName
        for moment in (
            "before stage_started {stage}",
            "after stage_started {stage}",
            "middle of {stage}",
            "before stage_finished {stage}",
        )
    ),
    "after stage_finished publish",
    "before job_finished",
    "after job_finished",
)
"""`after` a report: the broker has confirmed it, and nothing more. After a stage's end comes `before` the next one's
start, so that one moment stands for both; after `job_finished` the ticket is not acknowledged yet."""
GUARDS = ("freeze", "told", "fence", "hold")
UNFENCED = "unfenced"
"""From the moment that a test makes this in the folder, reports without the fence are those of attempt 2."""


class Faults:
    """What befalls this process, by the project that it has in hand."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.project = ""
        self.attempt = 0

    def claimed(self, job: JobSpec) -> None:
        """From here on it is about this job."""
        self.project, self.attempt = job.properties.project_name, job.attempt

    def at(self, moment: str) -> None:
        """Die, if this is the project's moment and it did not come yet."""
        if moment in {self.project, AT_ANY_CLAIM} and self._first(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    def without(self, guard: str) -> bool:
        """Whether a guard is taken out now."""
        words = self.project.split()
        return words[:1] == ["without"] and guard in words

    def told(self, word: str) -> bool:
        """Whether the test left a word in the folder."""
        return (self._folder / word).exists()

    def _first(self, moment: str) -> bool:
        try:
            (self._folder / moment).mkdir()
        except OSError:
            return False
        return True


FAULTS = Faults(Path(os.environ.get(FOLDER, "/nowhere")))


class _Producer(ProducerClient):
    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        FAULTS.at(AT_ANY_CLAIM)
        answer = await super().claim(agent, request)
        if answer.job is not None:
            FAULTS.claimed(answer.job)
            FAULTS.at("after claim")
        return answer


def _faulty_broker(url: str) -> Broker:
    broker = open_broker(url)
    publish = broker.publish

    async def struck(channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None) -> None:
        if channel != REPORTS:
            await publish(channel, bodies, headers)
            return
        for body in bodies:  # one by one, so that exactly what lies before a moment is confirmed
            name = _named(body)
            FAULTS.at(f"before {name}")
            await publish(channel, [_unfenced(body)], headers)
            FAULTS.at(f"after {name}")

    broker.publish = struck  # type: ignore[method-assign] # the one method that faults need
    return broker


def _named(body: bytes) -> str:
    report = read_message(REPORT, body)
    stage = getattr(report, "stage", None)
    return f"{report.type} {stage.value}" if isinstance(stage, StageName) else report.type


def _unfenced(body: bytes) -> bytes:
    """The report as if it came from the attempt after this one, when there is no fence and UNFENCED says so."""
    report: Any = read_message(REPORT, body)
    if not FAULTS.without("fence") or getattr(report, "attempt", 0) != 1 or not FAULTS.told(UNFENCED):
        return body
    changed: bytes = report.model_copy(update={"attempt": 2}).encode()
    return changed


def _faulty_objects(url: str) -> ObjectStore:
    objects = open_objects(url)
    get, put = objects.open, objects.put

    async def opened(key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        chunks = await get(key, start, end)

        async def half() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk[: len(chunk) // 2]
                FAULTS.at("middle of fetch")
                yield chunk[len(chunk) // 2 :]

        return half()

    async def stored(key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        if isinstance(chunks, bytes):
            return await put(key, chunks)

        async def half() -> AsyncIterator[bytes]:
            async for chunk in chunks:
                yield chunk[: len(chunk) // 2]
                FAULTS.at("middle of publish")
                yield chunk[len(chunk) // 2 :]

        return await put(key, half())

    objects.open, objects.put = opened, stored  # type: ignore[method-assign] # the two methods that faults need
    return objects


def _swallow_poison() -> None:
    swallow = extract

    def swallowed(*archive: Any) -> Any:
        if FAULTS.project == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return swallow(*archive)

    vars(upload_fetch).update(extract=swallowed)


class _Unfrozen:
    """The boot clock, which without the freeze guard never tells of more than a moment between two looks."""

    def __init__(self) -> None:
        self._real = self._told = time.monotonic()

    def __call__(self) -> float:
        now = time.monotonic()
        passed, self._real = now - self._real, now
        self._told += min(passed, 1.5) if FAULTS.without("freeze") else passed
        return self._told


def _set_the_clock() -> None:
    now, jumps = SystemClock.now, cycle((_DECADE, -_DECADE, timedelta(0)))

    def wrong(self: SystemClock) -> datetime:
        return now(self) + (next(jumps) if FAULTS.project == WRONG_CLOCK else timedelta(0))

    SystemClock.now = wrong  # type: ignore[method-assign] # that is the fault


def _take_guards_out() -> None:
    worker.job_in_hand._boot_seconds = _Unfrozen()
    give_up, serve = TicketDesk.give_up, TicketDesk._serve

    def deaf(self: TicketDesk, order: AttemptOver) -> None:
        if not FAULTS.without("told"):
            give_up(self, order)

    async def hasty(self: TicketDesk, ticket: Delivery, heartbeat_seconds: float) -> None:
        if FAULTS.told(EARLY_ACK):
            await ticket.ack()
        await serve(self, ticket, heartbeat_seconds)

    room = Pace.room

    async def hurried(self: Pace) -> None:
        if not FAULTS.without("hold"):
            await room(self)

    Pace.room = hurried  # type: ignore[method-assign] # the guard itself
    TicketDesk.give_up, TicketDesk._serve = deaf, hasty  # type: ignore[method-assign] # the guards themselves


def main() -> int:
    """Run the worker with its faults."""
    vars(entry).update(open_broker=_faulty_broker, open_objects=_faulty_objects, ProducerClient=_Producer)
    _swallow_poison()
    _set_the_clock()
    _take_guards_out()
    return entry.main()


if __name__ == "__main__":
    sys.exit(main())
