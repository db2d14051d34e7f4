"""The headers of a download: which part is wanted, what is known already, under which name it is saved. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from orchestrator.api.problems import unsatisfiable

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_TYPE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,63}/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]{0,63}")
_FALLBACK_TYPE = "application/octet-stream"
_KEPT_IN_NAMES = " !#$&+-.^_`{}~()[]@,="


@dataclass(frozen=True)
class Part:
    """Bytes start..end (end excluded) of a file."""

    start: int
    end: int


def part_of(header: str | None, size: int) -> Part | None:
    """The part that a Range header asks for; None for the whole, also where RFC 9110 says to ignore the header.

    Raises:
        InvalidRequest: (416) no byte of the file lies in it.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match.group(0) == "bytes=-":  # another unit, several ranges or nonsense: the whole
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        if last and int(last) < int(first):
            return None
        start, end = int(first), min(size, int(last) + 1 if last else size)
    if start >= end:
        raise unsatisfiable(f"The file has {size} bytes and ends before this range.")
    return Part(start, end)


def names_tag(header: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names this ETag, or any."""
    if header is None:
        return False
    return any(word.strip().removeprefix("W/") in {tag, "*"} for word in header.split(","))


def plain_type(content_type: str) -> str:
    """A content type that is one, else that of unknown bytes: what a build says never becomes a header unseen."""
    return content_type if _TYPE.fullmatch(content_type) else _FALLBACK_TYPE


def disposition(name: str) -> str:
    """A Content-Disposition that saves under `name`: once in plain ASCII, once whole as RFC 6266 has it."""
    last = re.split(r"[\\/]", name)[-1].strip(". ") or "artifact"
    plain = "".join(mark if (mark.isascii() and mark.isalnum()) or mark in _KEPT_IN_NAMES else "_" for mark in last)
    whole = quote(last.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
