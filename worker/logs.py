"""The log of one attempt: numbered lines, stored in segments, shown live, in bounded memory whatever a build prints."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from buildyard.clock import Clock
from buildyard.contracts.builds import JobSpec, StageName
from buildyard.contracts.messages import LogLine, LogLines, LogStored
from buildyard.contracts.wire import rfc3339
from buildyard.errors import BrokerUnavailable, ObjectsUnavailable
from buildyard.ports import LOGS, Broker, ObjectStore
from buildyard.telemetry import logger
from worker.log_text import clean_line
from worker.process import RawLines
from worker.reporting import Reports
from worker.stopping import StopSignal

SEGMENT_BYTES = 256 * 1024
LIMIT_BYTES = 512 * 1024 * 1024
"""What one attempt's log may take in the object store; lines beyond it are counted, not kept."""

_SEGMENTS_WAITING = 3
_SHOW_SECONDS = 0.1
_SHOWN_LINES = 200
_SHOWN_BYTES = 64 * 1024
_PATIENCE_WHEN_STOPPED = 15.0
_TEXT = json.JSONEncoder(ensure_ascii=False).encode


@dataclass
class _Segment:
    first: int
    opened: float
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    stages: dict[StageName, None] = field(default_factory=dict)


class LogWriter:
    """Takes lines from an attempt; `open` starts its two tasks, `close` stores the rest and ends them.

    A line is numbered when it is taken, from 1 without gaps. When the object store is slow, `write` waits, and with
    it the child that prints; a store that stays away for longer than `patience_seconds` loses lines, which `lost`
    counts.
    """

    def __init__(
        self,
        spec: JobSpec,
        agent: str,
        *,
        objects: ObjectStore,
        broker: Broker,
        reports: Reports,
        clock: Clock,
        stop: StopSignal,
        limit_bytes: int = LIMIT_BYTES,
        patience_seconds: float = 300.0,
    ) -> None:
        self._spec = spec
        self._agent = agent
        self._objects = objects
        self._broker = broker
        self._reports = reports
        self._clock = clock
        self._stop = stop
        self._limit = limit_bytes
        self._patience = patience_seconds
        self._log = logger("log")
        self._began = clock.monotonic()
        self._open: _Segment | None = None
        self._full: deque[_Segment] = deque()
        self._fresh: deque[tuple[int, str, StageName, str]] = deque(maxlen=_SHOWN_LINES)
        self._to_store, self._to_show, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []
        self._bytes = 0
        self._dropped_lines = 0
        self._dropped_bytes = 0
        self._last_stage = StageName.FETCH
        self.lines = 0
        """How many lines were numbered so far."""
        self.lost = 0
        """Numbered lines that could not be stored."""

    def open(self) -> None:
        """Start storing and showing."""
        self._tasks = [asyncio.create_task(self._store_segments()), asyncio.create_task(self._show_fresh())]

    async def write(self, stage: StageName, lines: RawLines) -> list[str]:
        """Take lines as a child printed them; returns them cleaned."""
        texts = [clean_line(*line) for line in lines]
        await self._take(stage, texts)
        return texts

    async def note(self, stage: StageName, text: str) -> None:
        """Take what the worker itself has to say; every line of it begins with a mark."""
        lines = text.encode("utf-8", "replace").split(b"\n")
        await self._take(stage, [clean_line("» ".encode() + line) for line in lines])

    async def close(self) -> None:
        """Store what is left, show it, and end."""
        if self._dropped_lines:
            limit, self._limit = self._limit, sys.maxsize
            sentence = f"{self._dropped_lines:,} more lines ({self._dropped_bytes:,} bytes) were not kept"
            await self.note(self._last_stage, f"{sentence}: the log of one attempt holds at most {limit:,} bytes.")
        self._closing = True
        self._to_store.set()
        self._to_show.set()
        await asyncio.gather(*self._tasks)

    # ---------------------------------------------------------------- taking lines

    async def _take(self, stage: StageName, texts: Iterable[str]) -> None:
        at = rfc3339(self._clock.now())
        self._last_stage = stage
        for text in texts:
            if self._bytes >= self._limit:
                self._dropped_lines += 1
                self._dropped_bytes += len(text)
                continue
            self._add(at, stage, text)
            if self._open is not None and self._open.size >= SEGMENT_BYTES:
                self._close_segment()
                await self._wait_for_room()
        self._to_show.set()

    def _add(self, at: str, stage: StageName, text: str) -> None:
        self.lines += 1
        line = f'{{"n":{self.lines},"at":"{at}","stage":"{stage.value}","text":{_TEXT(text)}}}\n'.encode()
        if self._open is None:
            self._open = _Segment(self.lines, self._clock.monotonic())
            self._to_store.set()
        self._open.lines.append(line)
        self._open.size += len(line)
        self._open.stages[stage] = None
        self._bytes += len(line)
        self._fresh.append((self.lines, at, stage, text))

    def _close_segment(self) -> None:
        if self._open is not None:
            self._full.append(self._open)
            self._open = None
            self._to_store.set()

    async def _wait_for_room(self) -> None:
        storing = self._tasks[0]
        while len(self._full) >= _SEGMENTS_WAITING:
            if storing.done():
                storing.result()
            self._room.clear()
            room = asyncio.create_task(self._room.wait())
            await asyncio.wait({room, storing}, return_when=asyncio.FIRST_COMPLETED)
            room.cancel()

    # ---------------------------------------------------------------- storing

    async def _store_segments(self) -> None:
        while True:
            if self._full:
                await self._store(self._full[0])
                self._full.popleft()
                self._room.set()
            elif self._open is not None and (self._closing or self._due_in(self._open) <= 0):
                self._close_segment()
            elif self._closing:
                return
            else:
                self._to_store.clear()
                await _wait(self._to_store, None if self._open is None else self._due_in(self._open))

    def _due_in(self, segment: _Segment) -> float:
        """Seconds until an open segment is stored: soon in a young build, every ten seconds in a long one."""
        now = self._clock.monotonic()
        return segment.opened + max(1.0, min(10.0, (now - self._began) / 20)) - now

    async def _store(self, segment: _Segment) -> None:
        key = f"{self._spec.output_prefix}log/{segment.first:09d}.jsonl"
        body = b"".join(segment.lines)
        last = segment.first + len(segment.lines) - 1
        since = self._clock.monotonic()
        pause = 0.2
        while True:
            try:
                await self._objects.put(key, body)
                break
            except (ObjectsUnavailable, OSError) as error:
                least = _PATIENCE_WHEN_STOPPED if self._stop.stopped() else self._patience
                if self._clock.monotonic() - since > min(least, self._patience):
                    self.lost += len(segment.lines)
                    self._log.error("log lines are lost", first=segment.first, last=last, error=str(error))
                    return
                self._log.warning("the log waits for the object store", error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        self._reports.send(self._stored(segment, key, last, len(body)))

    def _stored(self, segment: _Segment, key: str, last: int, size: int) -> LogStored:
        return LogStored(
            build_id=self._spec.build_id,
            job_id=self._spec.job_id,
            attempt=self._spec.attempt,
            agent=self._agent,
            at=self._clock.now(),
            key=key,
            first=segment.first,
            last=last,
            size_bytes=size,
            stages=tuple(segment.stages),
        )

    # ---------------------------------------------------------------- showing

    async def _show_fresh(self) -> None:
        while not (self._closing and not self._fresh):
            await self._to_show.wait()
            self._to_show.clear()
            if self._fresh:
                await self._show()
                await asyncio.sleep(0 if self._closing else _SHOW_SECONDS)

    async def _show(self) -> None:
        newest: deque[LogLine] = deque()
        size = 0
        while self._fresh and size < _SHOWN_BYTES:
            number, at, stage, text = self._fresh.pop()
            size += len(text)
            newest.appendleft(LogLine.model_validate({"n": number, "at": at, "stage": stage, "text": text}))
        self._fresh.clear()
        spec = self._spec
        message = LogLines(build_id=spec.build_id, job_id=spec.job_id, attempt=spec.attempt, lines=tuple(newest))
        try:
            await self._broker.publish(LOGS, [message.encode()])
        except BrokerUnavailable as error:  # nobody waits for the live view
            self._log.debug("live lines were not shown", error=str(error))


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    if seconds is None:
        await event.wait()
        return
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return
