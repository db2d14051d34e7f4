"""Texts and numbers of test reports, which anybody may have written."""

from __future__ import annotations

import re

MAX_TEXT = 64 * 1024
_LONGEST_SECONDS = 1e9


class BeginningOf:
    """The beginning of a text that comes in pieces."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._parts: list[str] = []
        self._length = 0

    def add(self, piece: str) -> None:
        """Take the next piece, as far as there is room."""
        if self._length < MAX_TEXT:
            self._parts.append(piece[: MAX_TEXT - self._length])
            self._length += len(self._parts[-1])

    def __str__(self) -> str:
        """What was kept, without blanks around it."""
        return "".join(self._parts).strip()


def seconds_of(text: str) -> float:
    """A duration of a JUnit report; 0 where it is none. Some tools group digits: `1,234.5`."""
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return seconds if 0 <= seconds < _LONGEST_SECONDS else 0.0


def clock_seconds_of(text: str) -> float:
    """A duration of a trx: `00:00:01.5000000`, with days in front where it took that long (`1.00:00:00`)."""
    found = re.fullmatch(r"(?:(\d{1,4})\.)?(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", text.strip())
    if found is None:
        return 0.0
    days, hours, minutes = (int(part or 0) for part in found.groups()[:3])
    return days * 86_400 + hours * 3600 + minutes * 60 + float(found.group(4))
