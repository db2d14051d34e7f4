"""The overview without a screen: read once, printed as text or JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from typing import Any

from buildyard.contracts.wire import rfc3339
from buildyard.errors import ProducerUnavailable
from tui import format as shown
from tui import summary
from tui.safe_text import plain
from tui.source import Source
from tui.state import Store
from tui.state.events import AgentsSeen, BuildsSeen, DecisionsSeen, PoolsSeen, SourceSeen, WorkersSeen
from tui.widgets.queue_cells import queue_rows, worst_first

READ_SECONDS = 20.0
AGAIN_SECONDS = 2.0
_OF_PRODUCER = {PoolsSeen, AgentsSeen, BuildsSeen}
_OF_SCALER = {DecisionsSeen, WorkersSeen}
_BUILDS = 8


class Reading:
    """A source read into a store, until enough is known to print."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.store = Store()
        self._heard: set[type] = set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Read until the source ends."""
        async for events in self._source.batches():
            for event in events:
                self._heard.add(type(event))
                self.store.apply(event)
            self._news.set()

    async def enough(self) -> None:
        """Until all lists were read, or it is known that nobody answers; at most `READ_SECONDS`."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                while not (self._known("producer", _OF_PRODUCER) and self._known("scaler", _OF_SCALER)):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return

    def _known(self, source: str, kinds: set[type]) -> bool:
        seen = self.store.sources.get(source)
        if seen is None:
            return False
        return seen.connection == "down" or (seen.last_ok is not None and kinds <= self._heard)

    def unreached(self) -> SourceSeen | None:
        """The producer's connection where it never answered."""
        seen = self.store.sources.get("producer")
        silent = seen is not None and seen.last_ok is None and not (_OF_PRODUCER & self._heard)
        return seen if silent else None


async def print_once(source: Source, *, as_json: bool, again: bool, width: int, utf8: bool) -> None:
    """Print the overview; with `again` every `AGAIN_SECONDS`, until interrupted.

    Raises:
        ProducerUnavailable: the producer does not answer, and nothing is repeated.
    """
    async with source:
        reading = Reading(source)
        task = asyncio.create_task(reading.run())
        try:
            await reading.enough()
            while True:
                silent = reading.unreached()
                if silent is not None and not again:
                    raise ProducerUnavailable(
                        silent.cause or f"The producer at {silent.address} does not answer.", remedy=silent.remedy
                    )
                now = source.now()
                text = as_text(reading.store, now, width, utf8=utf8)
                _write(json.dumps(as_data(reading.store, now), ensure_ascii=False) if as_json else text, again=again)
                if not again:
                    return
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _write(text: str, *, again: bool) -> None:
    clear = "\x1b[H\x1b[2J" if again and sys.stdout.isatty() else ""
    sys.stdout.write(f"{clear}{text}\n")
    sys.stdout.flush()


def as_data(store: Store, now: datetime) -> dict[str, Any]:
    """The overview as plain values; what is not known is null, never 0."""
    return {
        "at": rfc3339(now),
        "sources": [
            {"name": name, "connection": seen.connection, "address": seen.address, "cause": seen.cause}
            for name, seen in store.sources.items()
        ],
        "queues": [_queue(store, name) for name in store.pools],
        "attention": [
            {"grade": one.tone, "text": one.text, "kind": one.ref.kind, "id": one.ref.id}
            for one in summary.concerns(store, now)
        ],
        "agents": dict(summary.agent_counts(store)),
        "scaler": [
            {"pool": one.pool, "have": one.have, "want": one.wanted, "reasonCode": one.code, "reason": one.reason}
            for one in summary.scaler_lines(store)
        ],
        "builds": [
            {
                "executionId": row.id,
                "projectName": row.project,
                "status": row.status,
                "pool": row.pool,
                "durationSeconds": row.duration,
                "reason": row.reason,
            }
            for row in summary.last_builds(store, _BUILDS)
        ],
    }


def _queue(store: Store, name: str) -> dict[str, Any]:
    row = store.pools[name]
    return {
        "name": name,
        "ready": row.ready,
        "unacked": row.unacked,
        "oldestWaitSeconds": row.view.oldest_wait_seconds if row.view else None,
        "agents": dict(row.view.agents) if row.view else None,
        "paused": row.view.intake.paused if row.view else None,
        "deadLetters": row.dead,
    }


def as_text(store: Store, now: datetime, width: int, *, utf8: bool) -> str:
    """The overview as lines."""
    lines = [f"{shown.day_and_clock(now)} UTC"]
    for seen in store.sources.values():
        mark = shown.mark(seen.connection, "source")
        lines.append(f"{mark.sign(utf8=utf8)} {seen.source} {mark.word} {shown.since(seen.last_ok, now)} {seen.cause}")
    lines += ["", "Queues"]
    queues = worst_first(summary.queue_line(store, pool, now) for pool in store.pools.values())
    for queue in queues:
        lines += ["".join(text for text, _ in row) for row in queue_rows(queue, width, tall=False, utf8=utf8)]
    lines += [] if queues else ["none"]
    lines += ["", "Attention", *([one.text for one in summary.concerns(store, now)] or ["nothing"])]
    counts = summary.agent_counts(store)
    lines += ["", "Workers", ", ".join(f"{n} {state.lower()}" for state, n in counts.items()) or "none"]
    lines += ["", "Scaler"]
    for one in summary.scaler_lines(store):
        lines.append(f"{one.pool}: have {shown.count(one.have)}, want {shown.count(one.wanted)}: {one.reason}")
    lines += ["", "Last builds"]
    for row in summary.last_builds(store, _BUILDS):
        mark = shown.mark(row.status)
        sign, time = mark.sign(utf8=utf8), shown.duration(row.duration) if row.duration is not None else shown.NONE
        lines.append(f"{sign} {row.status:<10} {row.id} {time:>6} {row.project} {row.reason}")
    return "\n".join(safe(line)[:width] for line in lines)


def safe(line: str) -> str:
    """A line without anything that a terminal obeys."""
    return plain(line, limit=1000).rstrip()
