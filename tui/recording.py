"""Recordings: what a source told, in a file that can be opened elsewhere.

A file is a row of zstd frames, each some seconds of JSON lines. The first line says what the file is:

    {"buildyard": "recording", "v": 1, "began": "2026-11-21T09:30:00.000Z", "version": "0.1.0", "title": "…"}

and every other one is an event: `t` milliseconds after `began`, `k` its kind, `e` the event in the API's own shapes.
With `from` in the first line, what was told in so many milliseconds after `began` is not in the file.
A kind that is not known is passed over, so that an older dashboard plays what a slightly newer one wrote; another `v`
is refused. Answers that come every second are written every `THIN_SECONDS`; events, decisions and logs all are.

What looks like a password, a token or a key is written as `***`; what a farm's own token is, is never in an event.
A recording ends when it is `MOST_BYTES` long, and says so; it is readable up to its last whole frame at any time.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Self, get_args

from pydantic import TypeAdapter, ValidationError

import buildyard
from buildyard.contracts.wire import rfc3339
from buildyard.errors import InvalidRequest
from tui.state import events as kinds
from tui.state.events import AgentsSeen, BuildsSeen, DeadSeen, Event, HealthSeen, PoolsSeen, SourceSeen, WorkersSeen

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT = 1
SUFFIX = ".farm"
MOST_BYTES = 64 << 20
"""Of a file."""
THIN_SECONDS = 5.0
_FRAME_BYTES = 256 << 10
_FRAME_SECONDS = 5.0
_MOST_FRAME_BYTES = 64 << 20
"""Of a frame once it is unpacked; none of ours comes near."""
_MOST_MILLISECONDS = 1 << 42
"""More than a century: what is longer is no time."""
_EVERY_SECOND = PoolsSeen | AgentsSeen | WorkersSeen | BuildsSeen | DeadSeen | HealthSeen | SourceSeen

_WHOLE = re.compile(r'\{"t":\d+,"k":"(AgentsSeen|WorkersSeen|DeadSeen)"')

_HIDDEN = "***"
_NAMED_SO = r"(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
_NAMES = ("passw", "passphrase", "secret", "token", "key", "credential")
_SECRETS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("://",), re.compile(r"(://)[^/@\s\"\\]{1,500}(?=@)")),
    (("bearer", "basic"), re.compile(r"((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)),
    (_NAMES, re.compile(rf"({_NAMED_SO}\s*[=:]\s*)[^\s\"\\,;&]+", re.IGNORECASE)),
    (_NAMES, re.compile(rf"({_NAMED_SO}\"\s*:\s*\")[^\"\\]+", re.IGNORECASE)),
    (("gh",), re.compile(r"()\bgh[pousr]_[A-Za-z0-9]{20,}")),
    (("akia",), re.compile(r"()\bAKIA[A-Z0-9]{16}")),
    (("eyj",), re.compile(r"()(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*")),
)
"""What gives a secret away, and where it is then looked for; most texts hold nothing of the first."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording says of itself."""

    began: datetime
    title: str
    version: str
    from_: int = 0
    """Milliseconds after `began` at which it begins to tell."""

    def line(self) -> str:
        """The first line of a file."""
        fields = {"buildyard": "recording", "v": FORMAT, "began": rfc3339(self.began), "version": self.version}
        return json.dumps(
            {**fields, "title": without_secrets(self.title), **({"from": self.from_} if self.from_ else {})}
        )


# ---------------------------------------------------------------- one event as a line


@cache
def _adapters() -> dict[str, TypeAdapter[Any]]:
    return {kind.__name__: TypeAdapter(kind) for kind in get_args(kinds.Event)}


def encoded(event: Event, milliseconds: int) -> str:
    """An event as a line without its end, without what looks like a secret."""
    kind = type(event).__name__
    body = _adapters()[kind].dump_json(event, by_alias=True).decode()
    return f'{{"t":{milliseconds},"k":"{kind}","e":{without_secrets(body)}}}'


def decoded(line: str) -> tuple[int, Event | None]:
    """(milliseconds, event) of a line; None for a kind that is not known here.

    Raises:
        ValueError: it is no line of a recording.
    """
    fields = json.loads(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("t"), int) or "e" not in fields:
        msg = "no event"
        raise ValueError(msg)
    adapter = _adapters().get(str(fields.get("k")))
    return fields["t"], None if adapter is None else adapter.validate_python(fields["e"])


def without_secrets(text: str) -> str:
    """The same text, with `***` for what looks like a secret; JSON stays JSON."""
    small = text.lower()
    for hints, pattern in _SECRETS:
        if any(hint in small for hint in hints):
            text = pattern.sub(rf"\g<1>{_HIDDEN}", text)
    return text


# ---------------------------------------------------------------- writing


class Thinning:
    """Which of the answers that come every second are left out; events, decisions and logs never are."""

    def __init__(self, every: float = THIN_SECONDS) -> None:
        self._every = every
        self._kept: dict[object, float] = {}

    def leaves_out(self, event: Event, seconds: float) -> bool:
        """Whether one of its kind was kept less than `every` seconds ago."""
        if not isinstance(event, _EVERY_SECOND):
            return False
        key: object = type(event).__name__
        if isinstance(event, SourceSeen):
            key = (event.source, event.connection, event.cause)
        elif isinstance(event, HealthSeen):
            key = (key, event.source)
        elif isinstance(event, BuildsSeen):
            key = event.builds
        known = self._kept.get(key)
        if known is not None and seconds - known < self._every:
            return True
        if len(self._kept) > 200:  # noqa: PLR2004 - pages of builds; older ones are written once more
            self._kept.clear()
        self._kept[key] = seconds
        return False


def packed(lines: Iterable[str]) -> bytes:
    """Lines as one frame."""
    return zstd.compress("".join(f"{line}\n" for line in lines).encode(), 6)


class Recorder:
    """Writes a recording; use it as a context manager. Time is an argument throughout."""

    def __init__(self, file: BinaryIO, began: datetime, title: str = "", *, most_bytes: int = MOST_BYTES) -> None:
        self._file = file
        self._began = began
        self._most = most_bytes
        self._lines = [Header(began, title, buildyard.__version__).line()]
        self._waiting = len(self._lines[0])
        self._frame_began = 0.0
        self._thinning = Thinning()
        self.written = 0
        """Bytes in the file."""
        self.full = False
        """Whether the file has reached its end; nothing more is written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, event: Event, now: datetime) -> None:
        """Write an event down."""
        seconds = max(0.0, (now - self._began).total_seconds())
        if self.full or self._thinning.leaves_out(event, seconds):
            return
        line = encoded(event, int(seconds * 1000))
        self._lines.append(line)
        self._waiting += len(line)
        if self._waiting >= _FRAME_BYTES or seconds - self._frame_began >= _FRAME_SECONDS:
            self._frame_began = seconds
            self.flush()

    def flush(self) -> None:
        """Write what waits; the file can be read up to here."""
        if not self._lines or self.full:
            return
        frame = packed(self._lines)
        self._lines.clear()
        self._waiting = 0
        if self.written + len(frame) > self._most:
            self.full = True
            return
        self._file.write(frame)
        self._file.flush()
        self.written += len(frame)


def owners_file(path: Path) -> BinaryIO:
    """A new file that its owner alone may read, from its first byte on. FileExistsError and other OSErrors."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


# ---------------------------------------------------------------- reading


class Recording:
    """A recording in memory, still packed; made by `opened`."""

    def __init__(self, header: Header, frames: list[tuple[int, bytes]], last: int, damage: str) -> None:
        self.header = header
        self._frames = frames
        self._last = last
        self.damage = damage
        """A sentence when the file breaks off; it is played up to there."""

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Its first and its last moment."""
        began, first = self.header.began, self.header.from_
        return began + timedelta(milliseconds=first), began + timedelta(milliseconds=max(first, self._last))

    def since(self, milliseconds: int, *, target: float = 0) -> Iterator[tuple[int, Event]]:
        """(milliseconds, event) from a moment on, in order of time; counted from the beginning of `span`.

        Of whole answers before `target` only the last of each kind is given: the later one says all of it again.
        """
        begin = self.header.from_
        milliseconds += begin
        told: dict[str, str] = {}
        first = max((place for place, (start, _) in enumerate(self._frames) if start < milliseconds), default=0)
        for _, frame in self._frames[first:]:
            for line in _unpacked(frame).split("\n"):  # other line ends may stand within texts
                if not line.startswith('{"t":'):
                    continue
                if told or target:
                    if _time(line) < target + begin:
                        if (kind := _WHOLE.match(line)) is not None:
                            told[kind[1]] = line
                            continue
                    else:
                        late, told, target = list(told.values()), {}, 0
                        yield from ((at - begin, event) for at, event in map(_tolerantly, late) if event is not None)
                at, event = _tolerantly(line)
                if event is not None and at >= milliseconds:
                    yield at - begin, event
        yield from ((at - begin, event) for at, event in map(_tolerantly, told.values()) if event is not None)


def opened(path: Path) -> Recording:
    """Read a recording.

    Raises:
        InvalidRequest: it is not there, is none, or is of a newer version; the sentence says which.
    """
    try:
        if path.stat().st_size > 2 * MOST_BYTES:
            raise InvalidRequest(f"{path} is longer than any recording of Buildyard.")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror or error}.") from error
    frames: list[tuple[int, bytes]] = []
    header, last, damage = None, 0, ""
    for frame in _frames(data):
        try:
            lines = _unpacked(frame).split("\n")
            header = header or _header(path, lines[0])
            times = [_time(line) for line in lines if line.startswith('{"t":')]
        except (zstd.ZstdError, ValueError, IndexError, EOFError):
            damage = f"{path} is damaged: it is played up to where it breaks off."
            break
        frames.append((times[0] if times else last, frame))
        last = max([last, *times])
    if header is None:
        raise InvalidRequest(f"{path} is no recording of Buildyard.", remedy="`r` in the dashboard makes one.")
    return Recording(header, frames, last, damage)


def _header(path: Path, line: str) -> Header:
    try:
        fields = json.loads(line)
        version, ours = fields["v"], fields["buildyard"] == "recording"
        began, from_ = datetime.fromisoformat(fields["began"]), int(fields.get("from", 0))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} is no recording of Buildyard.") from error
    if not ours or began.tzinfo is None or not 0 <= from_ < _MOST_MILLISECONDS:
        raise InvalidRequest(f"{path} is no recording of Buildyard.")
    if version != FORMAT:
        raise InvalidRequest(
            f"{path} is a recording of format {version!r}; this dashboard reads format {FORMAT}.",
            remedy="Open it with the version of Buildyard that wrote it, or a newer one.",
        )
    return Header(began, str(fields.get("title", "")), str(fields.get("version", "")), from_)


def _frames(data: bytes) -> Iterator[bytes]:
    """The frames of a file; the rest as one where it breaks off."""
    while data:
        try:
            size = zstd.get_frame_size(data)
        except zstd.ZstdError:
            size = len(data)
        yield data[:size]
        data = data[size:]


def _unpacked(frame: bytes) -> str:
    unpacker = zstd.ZstdDecompressor()
    text = unpacker.decompress(frame, max_length=_MOST_FRAME_BYTES)
    if not unpacker.eof:
        msg = "a frame that breaks off, or is too long"
        raise EOFError(msg)
    return text.decode()


def _time(line: str) -> int:
    return int(line[5 : line.index(",")])


def _tolerantly(line: str) -> tuple[int, Event | None]:
    """An event that cannot be read is passed over like one of an unknown kind."""
    try:
        return decoded(line)
    except (ValueError, ValidationError):
        return 0, None
