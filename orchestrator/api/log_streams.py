"""A build's log as a stream: stored segments from the object store, then live lines, in constant memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, replace

from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import LogLines
from buildyard.errors import NotFound, TemporaryError
from buildyard.ports import ObjectStore
from orchestrator.api.log_lines import Cursor, Line, Renderer, Wanted, last_of, lines_of, numbered, wanted_of
from orchestrator.api.parts import ApiParts
from orchestrator.api.streams import HEARTBEAT_SECONDS
from orchestrator.domain.records import LogSegment

_TICK_SECONDS = 1.0
_RECHECK_TICKS = 5
"""Ticks without news after which the store is asked all the same."""
_WAKING = frozenset({"log_stored", "build_ended"})


@dataclass(frozen=True)
class Question:
    """What a reader of a log asks for: lines, the last so many of them, and how they are written."""

    wanted: Wanted
    tail: int | None
    render: Renderer
    beat: bytes = b""
    """Sent in quiet times, where the form has something that says nothing."""
    end: bytes = b""
    """Sent once the build has ended and every line was sent, where the form tells that."""


async def stored_log(objects: ObjectStore, segments: Sequence[LogSegment], question: Question) -> AsyncGenerator[bytes]:
    """The wanted lines of what is stored.

    Raises:
        ObjectsUnavailable: the store cannot be reached.
    """
    wanted = await _placed(objects, segments, question)
    for segment in segments:
        if wanted.may_be_in(segment):
            raw = await _raw(objects, segment)
            if text := await asyncio.to_thread(_stored_text, raw, segment, wanted, question.render):
                yield text


async def followed_log(parts: ApiParts, build_id: str, question: Question) -> AsyncGenerator[bytes]:
    """The wanted lines of what is stored, then live ones, until the build has ended and all was sent.

    Watching begins before the store is read, so that nothing falls between. The stream also ends when the process
    stops; a reader takes it up again with `from`.
    """
    async with parts.feed.watch(build_id, recent_lines=True) as watch:
        ended = await parts.views.build_ended(build_id)  # asked before the segments: then these are all of them
        segments = await parts.views.log_segments(build_id)
        async for chunk in stored_log(parts.objects, segments, question):
            yield chunk
        live = _Live(parts, build_id, question, segments)
        quiet, sent = 0, parts.clock.monotonic()
        while not (ended or live.complete or parts.state() == "stopping"):
            item = await watch.next_item(_TICK_SECONDS)
            quiet = quiet + 1 if item is None else 0
            if isinstance(item, LogLines) and (text := live.fresh(item)):
                yield text
                sent = parts.clock.monotonic()
            if question.beat and parts.clock.monotonic() - sent >= HEARTBEAT_SECONDS:
                yield question.beat
                sent = parts.clock.monotonic()
            if watch.overflowed or _wakes(item) or quiet >= _RECHECK_TICKS:
                watch.overflowed, quiet = False, 0
                try:
                    ended = await parts.views.build_ended(build_id)
                    async for text in live.catch_up():
                        yield text
                        sent = parts.clock.monotonic()
                except TemporaryError:  # the stream outlives an absence of the stores
                    watch.overflowed, ended = True, False
                    await asyncio.sleep(_TICK_SECONDS)
        if ended and (text := live.rest()):
            yield text
        if (ended or live.complete) and question.end:
            yield question.end


def _wakes(item: BuildEvent | LogLines | None) -> bool:
    return isinstance(item, BuildEvent) and item.type in _WAKING


class _Live:
    """The part of a followed log that comes after what was stored at first.

    Its lines are numbered on in the order they are sent. With one job writing at a time, as builds do, these are
    the numbers the store will give them.
    """

    def __init__(self, parts: ApiParts, build_id: str, question: Question, segments: Sequence[LogSegment]) -> None:
        self._parts = parts
        self._build_id = build_id
        self._render = question.render
        self._wanted = question.wanted
        self._cursor = Cursor()
        self._cursor.skip(segments)
        self._number = segments[-1].build_last if segments else 0
        self._known = self._number

    @property
    def complete(self) -> bool:
        """Whether the last wanted line was sent."""
        return self._wanted.last is not None and self._number >= self._wanted.last

    def fresh(self, message: LogLines) -> bytes:
        """What live lines bring."""
        return self._text(self._cursor.live(message), message.job_id, message.attempt)

    async def catch_up(self) -> AsyncGenerator[bytes]:
        """What was stored meanwhile and not seen live."""
        for segment in await self._parts.views.log_segments(self._build_id):
            if segment.build_first > self._known:
                lines = await _read(self._parts.objects, segment) if self._cursor.lacks(segment) else []
                self._known = segment.build_last
                if text := self._text(self._cursor.stored(segment, lines), segment.job_id, segment.attempt):
                    yield text

    def rest(self) -> bytes:
        """Lines that were seen live and never stored: the last words of a worker that was lost."""
        return b"".join(self._text(lines, job, attempt) for job, attempt, lines in self._cursor.rest())

    def _text(self, lines: Sequence[Line], job: str, attempt: int) -> bytes:
        found = list(enumerate(lines, self._number + 1))
        self._number += len(lines)
        return _rendered(self._render, self._wanted, found, job, attempt)


def _rendered(render: Renderer, wanted: Wanted, found: Iterable[tuple[int, Line]], job: str, attempt: int) -> bytes:
    shown = (render(number, line, job, attempt) for number, line in found if wanted.takes(number, line))
    return "".join(shown).encode("utf-8", "replace")


def _stored_text(raw: bytes, segment: LogSegment, wanted: Wanted, render: Renderer) -> bytes:
    """In a thread: thousands of lines take tens of milliseconds, in which other requests go on."""
    return _rendered(render, wanted, wanted_of(segment, raw, wanted), segment.job_id, segment.attempt)


async def _read(objects: ObjectStore, segment: LogSegment) -> list[Line]:
    return lines_of(await _raw(objects, segment))


async def _raw(objects: ObjectStore, segment: LogSegment) -> bytes:
    try:
        return await objects.read(segment.key)
    except NotFound:
        gone = f"[the lines {segment.first} to {last_of(segment)} of attempt {segment.attempt} are stored no more]"
        return json.dumps({"n": segment.first, "at": "", "stage": "", "text": gone}).encode()


async def _placed(objects: ObjectStore, segments: Sequence[LogSegment], question: Question) -> Wanted:
    """The wanted lines with the start that `tail` means."""
    wanted, tail = question.wanted, question.tail
    if tail is None or not segments:
        return wanted
    if wanted.stage is None:
        return replace(wanted, first=max(1, segments[-1].build_last - tail + 1))
    count, first = 0, 1
    for segment in reversed(segments):
        if not wanted.may_be_in(segment):
            continue
        found = [n for n, line in numbered(segment, await _read(objects, segment)) if wanted.takes(n, line)]
        count += len(found)
        if count >= tail:
            first = found[count - tail]
            break
    return replace(wanted, first=first)
