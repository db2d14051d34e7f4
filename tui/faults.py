"""What went wrong in the dashboard itself, kept for a report. Nothing is sent anywhere by itself."""

from __future__ import annotations

import platform
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import buildyard
from tui.format import day_and_clock
from tui.safe_text import plain

MOST_FAULTS = 20
_MOST_LINES = 60
_LINE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it was first met, in which part, what it says, and where in the code it arose."""

    at: datetime
    where: str
    what: str
    lines: tuple[str, ...]


class Faults:
    """The newest faults, each once however often it is met."""

    def __init__(self) -> None:
        self._kept: deque[Fault] = deque(maxlen=MOST_FAULTS)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, where: str, error: BaseException, now: datetime) -> bool:
        """Keep a fault; False where it is known already."""
        what = told(error)
        if any((one.where, one.what) == (where, what) for one in self._kept):
            return False
        lines = "".join(traceback.format_exception(error)).splitlines()[-_MOST_LINES:]
        self._kept.append(Fault(now, where, what, tuple(plain(line, limit=_LINE_CHARACTERS) for line in lines)))
        return True

    def report(self, surroundings: str) -> str:
        """All of it as text to send; it holds no token, but an error may quote what it failed at."""
        head = (
            f"Buildyard {buildyard.__version__}, Textual {version('textual')}, Python {platform.python_version()}, "
            f"{platform.system()}, {surroundings}"
        )
        found = [line for one in self._kept for line in ("", f"{day_and_clock(one.at)} {one.where}", *one.lines)]
        return "\n".join([head, *(found or ["", "Nothing went wrong since the dashboard began."])])


def told(error: BaseException) -> str:
    """An error as its class and its text, on one line that is safe to draw."""
    return plain(f"{type(error).__name__}: {error}", limit=_LINE_CHARACTERS)
