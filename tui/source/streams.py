"""Following what is looked at: one build, one build's log, one agent's log.

Each follower keeps what it needs to go on after a broken connection: the number of the last event or line, or, where
lines have no numbers, the last lines themselves. `run` may be cancelled and called again at any time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Protocol

from buildyard.client import ProducerClient, ScalerClient
from buildyard.client.following import LogEntry
from buildyard.clock import Clock
from buildyard.contracts.api import BuildStatus
from buildyard.errors import BuildyardError, NotFound, PermanentError, TemporaryError
from tui.source.outbox import Outbox
from tui.source.withheld import Withheld
from tui.state.events import (
    ArtifactsSeen,
    BuildChanged,
    BuildGone,
    BuildSeen,
    DiagnosticsSeen,
    LogBroke,
    LogEnded,
    LogLine,
    LogSeen,
    log_of_agent,
    log_of_build,
    part_of_build,
    part_of_log,
)
from tui.state.rows import ENDED, rank_of

_PAUSE_SECONDS = 1.0
_REFUSED_SECONDS = 30.0
_READ_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 10.0
_OVERLAP_LINES = 10_000
_REMEMBERED_LINES = 50
_WAIT_FOR_OVERLAP_SECONDS = 2.0


class Follower(Protocol):
    """Something that is followed until it ends."""

    async def run(self) -> None:
        """Follow; ends when nothing more will come."""


def _pause_after(error: BuildyardError) -> float:
    return _PAUSE_SECONDS if isinstance(error, TemporaryError) else _REFUSED_SECONDS


class BuildFollower:
    """One build: all its events, and the build in full whenever they told of something."""

    def __init__(self, build_id: str, producer: ProducerClient, outbox: Outbox, clock: Clock) -> None:
        self._id = build_id
        self._producer = producer
        self._outbox = outbox
        self._clock = clock
        self._after = 0
        self._counted = (0, 0)
        """Warnings and errors at the last look at what compilers said."""
        self._changed = asyncio.Event()
        self._withheld = Withheld("producer", outbox, clock)

    async def run(self) -> None:
        """Follow it to its end."""
        while True:
            try:
                if await self._read():
                    return
                async with asyncio.TaskGroup() as group:
                    reading = group.create_task(self._read_again())
                    await self._follow()
                    reading.cancel()
            except NotFound:
                await self._outbox.put(BuildGone(self._clock.now(), self._id))
                return
            except BuildyardError as error:
                self._withheld.note(part_of_build(self._id), error)
                await asyncio.sleep(_pause_after(error))
            except ExceptionGroup as group_error:
                # Whatever it is that both reads met, it is tried again: the poller tells how the server is.
                _, others = group_error.split(BuildyardError)
                if others is not None:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self) -> None:
        async with aclosing(self._producer.events(self._id, self._after)) as events:
            async for event in events:
                self._after = max(self._after, event.seq)
                await self._outbox.put(BuildChanged(event))
                self._changed.set()

    async def _read_again(self) -> None:
        """Read the build after its events, once a second at most, and now and then all the same."""
        while True:
            await asyncio.sleep(_READ_AGAIN_SECONDS)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await self._read()

    async def _read(self) -> bool:
        """Read the build; with its artifacts when it has ended. Whether it has."""
        at = self._clock.now()
        build = await self._producer.build(self._id)
        self._withheld.note(part_of_build(self._id), None)
        self._outbox.put_latest(f"build/{self._id}", BuildSeen(at, build))
        await self._read_diagnostics(at, build)
        if rank_of(build.status) < ENDED:
            return False
        artifacts = (await self._producer.artifacts(self._id)).artifacts
        self._outbox.put_latest(f"artifacts/{self._id}", ArtifactsSeen(at, self._id, artifacts))
        return True

    async def _read_diagnostics(self, at: datetime, build: BuildStatus) -> None:
        """What compilers said, whenever there is more of it."""
        counted = sum(one.warnings_count for one in build.stages), sum(one.errors_count for one in build.stages)
        if counted == self._counted:
            return
        with suppress(PermanentError):  # an older producer has none to tell
            found = (await self._producer.diagnostics(self._id)).diagnostics
            self._outbox.put_latest(f"diagnostics/{self._id}", DiagnosticsSeen(at, self._id, found))
        self._counted = counted


class BuildLogFollower:
    """A build's log: lines have numbers, so it goes on exactly where it stopped."""

    def __init__(self, build_id: str, tail: int, producer: ProducerClient, outbox: Outbox, clock: Clock) -> None:
        self._id = build_id
        self._stream = log_of_build(build_id)
        self._tail = tail
        self._producer = producer
        self._outbox = outbox
        self._clock = clock
        self._last = 0
        self._began = False
        self._attempts: dict[str, int] = {}
        self._withheld = Withheld("producer", outbox, clock)

    async def run(self) -> None:
        """Follow it until the build has ended and all was read."""
        while True:
            try:
                ended = rank_of((await self._producer.build(self._id)).status) == ENDED
                await self._follow()
                if ended:
                    await self._outbox.put(LogEnded(self._stream))
                    return
                await asyncio.sleep(_PAUSE_SECONDS / 2)
            except NotFound:
                await self._outbox.put(LogEnded(self._stream))
                return
            except BuildyardError as error:
                self._withheld.note(part_of_log(self._stream), error)
                await asyncio.sleep(_pause_after(error))

    async def _follow(self) -> None:
        again = self._began
        wanted = {"from_": self._last + 1} if self._last else {"tail": None if again else self._tail}
        async with aclosing(self._producer.log_entries(self._id, **wanted)) as batches:
            async for entries in batches:
                self._began = True
                self._withheld.note(part_of_log(self._stream), None)
                if again:
                    await self._break("the connection broke; the log goes on here")
                    again = False
                await self._tell(entries)

    async def _tell(self, entries: Sequence[LogEntry]) -> None:
        """Pass lines on, with a break where another attempt begins."""
        start = 0
        for place, entry in enumerate(entries):
            known = self._attempts.get(entry.job)
            if entry.attempt != known:
                self._attempts[entry.job] = entry.attempt
                if known is not None and entry.attempt > known:
                    await self._pass_on(entries[start:place])
                    await self._break(f"attempt {entry.attempt} begins")
                    start = place
        await self._pass_on(entries[start:])

    async def _pass_on(self, entries: Sequence[LogEntry]) -> None:
        if entries:
            lines = tuple(LogLine(one.text, one.n, _seconds(one.at), one.stage, one.attempt) for one in entries)
            await self._outbox.put(LogSeen(self._stream, lines))
            self._last = entries[-1].n

    async def _break(self, text: str) -> None:
        # Nothing is missing by itself: the store sees from the numbers whether something is.
        await self._outbox.put(LogBroke(self._stream, self._clock.now(), text, 0))


class AgentLogFollower:
    """An agent's own log: lines have no numbers, so after a break the place is found by the last lines seen.

    It is found among the last `_OVERLAP_LINES`; where it is not, the number of missing lines is unknown, and said so.
    """

    def __init__(self, name: str, tail: int, scaler: ScalerClient, outbox: Outbox, clock: Clock) -> None:
        self._name = name
        self._stream = log_of_agent(name)
        self._tail = tail
        self._scaler = scaler
        self._outbox = outbox
        self._clock = clock
        self._seen: deque[str] = deque(maxlen=_REMEMBERED_LINES)
        self._began = False
        self._withheld = Withheld("scaler", outbox, clock)

    async def run(self) -> None:
        """Follow it until the worker has ended."""
        while True:
            try:
                await self._follow()
            except NotFound:
                break
            except BuildyardError as error:
                self._withheld.note(part_of_log(self._stream), error)
                await asyncio.sleep(_pause_after(error))
            else:
                if await self._has_ended():
                    break
                await asyncio.sleep(_PAUSE_SECONDS)
        await self._outbox.put(LogEnded(self._stream))

    async def _has_ended(self) -> bool:
        try:
            workers = (await self._scaler.workers()).workers
        except BuildyardError:
            return False
        return all(worker.name != self._name or worker.state == "Exited" for worker in workers)

    async def _follow(self) -> None:
        looking = bool(self._seen)
        held: list[str] = []
        loop = asyncio.get_running_loop()
        tail = _OVERLAP_LINES if self._began else self._tail
        async with aclosing(self._scaler.worker_log_batches(self._name, tail=tail)) as batches:
            self._began = True
            until = loop.time() + _WAIT_FOR_OVERLAP_SECONDS
            async for lines in batches:
                self._withheld.note(part_of_log(self._stream), None)
                if not looking:
                    await self._tell(lines)
                    continue
                held.extend(lines)
                place = place_after(self._seen, held)
                if place is None and len(held) < _OVERLAP_LINES and loop.time() < until:
                    continue
                looking = False
                await self._go_on(held, place)
            if looking:
                await self._go_on(held, place_after(self._seen, held))

    async def _go_on(self, held: list[str], place: int | None) -> None:
        """After a break: tell what is new of the lines held back."""
        now = self._clock.now()
        if place is None:
            text = "the connection broke; lines may be missing, nobody knows how many"
            await self._outbox.put(LogBroke(self._stream, now, text, None))
            await self._tell(tuple(held))
        elif place < len(held):
            await self._outbox.put(LogBroke(self._stream, now, "the connection broke; the log goes on here", 0))
            await self._tell(tuple(held[place:]))

    async def _tell(self, lines: Sequence[str]) -> None:
        if lines:
            await self._outbox.put(LogSeen(self._stream, tuple(LogLine(line) for line in lines)))
            self._seen.extend(lines)


def place_after(seen: Sequence[str], lines: Sequence[str]) -> int | None:
    """Where `lines` go on behind the lines `seen` last; None when those are not among them.

    Of several places the last one is meant: what repeats is then taken as seen.
    """
    wanted = list(seen)
    for end in range(len(lines), len(wanted) - 1, -1):
        if lines[end - 1] == wanted[-1] and list(lines[end - len(wanted) : end]) == wanted:
            return end
    return None


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
