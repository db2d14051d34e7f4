"""A pod's log: what its process writes, each line with its time, as kubelets keep and serve it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scaler.executors.log_file import LogFile

_PIECE_BYTES = 64 * 1024
_LONGEST_LINE = 16 * 1024
KNOWN = frozenset({"follow", "tailLines", "limitBytes", "timestamps", "sinceTime", "sinceSeconds"})


class Stamps:
    """Times that grow with every line, as a runtime's nanoseconds do."""

    def __init__(self) -> None:
        self._last = 0

    def put(self, lines: list[bytes]) -> bytes:
        """The lines, each with its time."""
        return b"".join(self._next() + b" " + line + b"\n" for line in lines)

    def _next(self) -> bytes:
        self._last = max(self._last + 1, time.time_ns())
        seconds, rest = divmod(self._last, 10**9)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z".encode()


async def keep(pipe: int, file: Path, stamps: Stamps) -> None:
    """Append all that comes out of a pipe, line by line, until all who write to it have closed it."""
    output, rest = asyncio.StreamReader(), b""
    connect = asyncio.get_running_loop().connect_read_pipe
    transport, _ = await connect(lambda: asyncio.StreamReaderProtocol(output), os.fdopen(pipe, "rb", 0))
    with closing(transport), file.open("ab", buffering=0) as log:
        while piece := await output.read(_PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            if lines:
                log.write(stamps.put(lines))
        if rest:
            log.write(stamps.put([rest]))


async def served(file: Path, asked: Mapping[str, str], runs: Callable[[], bool]) -> AsyncGenerator[bytes]:
    """What the pod API's log options ask for; `previous` is not kept."""
    tail = int(asked["tailLines"]) if "tailLines" in asked else None
    left = int(asked.get("limitBytes", 2**62))
    stamps, since = asked.get("timestamps") == "true", _since(asked)
    more = runs if asked.get("follow") == "true" else None
    async with aclosing(LogFile(file).read(tail=tail, more=more)) as pieces:
        async for piece in pieces:
            chosen = (line for line in piece.splitlines(keepends=True) if _time(line) >= since)
            text = b"".join(line if stamps else line.partition(b" ")[2] for line in chosen)[:left]
            left -= len(text)
            if text:
                yield text
            if left <= 0:
                return


def _since(asked: Mapping[str, str]) -> datetime:
    if "sinceTime" in asked:
        return datetime.fromisoformat(asked["sinceTime"])
    if "sinceSeconds" in asked:
        return datetime.now(UTC) - timedelta(seconds=int(asked["sinceSeconds"]))
    return datetime.fromtimestamp(0, UTC)


def _time(line: bytes) -> datetime:
    """When a line was written; a piece cut out of the middle of one counts as new."""
    try:
        return datetime.fromisoformat(line.partition(b" ")[0].decode())
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
