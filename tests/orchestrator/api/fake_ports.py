"""What stands beside the API, in memory: an object store, a broker and a line of events that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from buildyard.contracts.events import FarmEvent
from buildyard.errors import NotFound, UnknownCount
from buildyard.ports import Channel, Depth, ObjectInfo


@dataclass
class MemoryObjects:
    """An object store in a dictionary."""

    kept: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    failure: Exception | None = None
    largest_piece: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cleaned: asyncio.Event = field(default_factory=asyncio.Event)

    async def put(self, key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        self._check()
        if isinstance(chunks, bytes):
            self.kept[key] = chunks
            return ObjectInfo(key, len(chunks))
        body = bytearray()
        async for chunk in chunks:
            self.largest_piece = max(self.largest_piece, len(chunk))
            body += chunk
            self.begun.set()
        self.kept[key] = bytes(body)
        return ObjectInfo(key, len(body))

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        body = (await self.read(key))[start:end]
        return _pieces(body)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        self._check()
        self.reads.append(key)
        if key not in self.kept:
            raise NotFound(f"There is no object {key}.")
        return self.kept[key][start:end]

    async def head(self, key: str) -> ObjectInfo:
        self._check()
        if key not in self.kept:
            raise NotFound(f"There is no object {key}.")
        return ObjectInfo(key, len(self.kept[key]))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for key, body in sorted(self.kept.items()):
            if key.startswith(prefix):
                yield ObjectInfo(key, len(body))

    async def pages(self, prefix: str, older_than: datetime) -> AsyncIterator[Sequence[ObjectInfo]]:
        del older_than  # all of them have been here for ever
        yield [info async for info in self.list(prefix)]

    async def move(self, source: str, target: str) -> None:
        self._check()
        self.kept[target] = self.kept.pop(source)

    async def delete(self, keys: Sequence[str]) -> None:
        self._check()
        for key in keys:
            self.kept.pop(key, None)
        self.cleaned.set()

    async def drop_torn(self, prefix: str, age_seconds: float) -> int:
        del prefix, age_seconds
        return 0

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


@dataclass
class FakeBroker:
    """A broker that only counts."""

    depths: dict[str, int] = field(default_factory=dict)
    failure: Exception | None = None

    async def depth(self, channel: Channel) -> Depth:
        if self.failure is not None:
            raise self.failure
        if channel.name.startswith("jobs.") and channel.name not in self.depths:
            raise UnknownCount(f"{channel.name} cannot be counted.")
        return Depth(self.depths.get(channel.name, 0), 0, 1, "fake", 0)


@dataclass
class FakeLine:
    """The line of all builds' events."""

    failure: Exception | None = None
    told: list[FarmEvent] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def after(self, position: int, limit: int) -> tuple[FarmEvent, ...]:
        self._check("after")
        return tuple(event for event in self.told if int(event.id) > position)[:limit]

    async def newest(self) -> int:
        self._check("newest")
        return int(self.told[-1].id) if self.told else 0

    async def before(self, moment: datetime) -> int:
        self._check("before")
        return max((int(event.id) for event in self.told if event.at < moment - timedelta(minutes=1)), default=0)

    def _check(self, call: str) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure
