"""What the terminal can show, from what the system tells of it."""

from __future__ import annotations

from collections.abc import Mapping

_ENOUGH = 8
"""Colours that a terminal must have to be drawn on in colour."""


def shows_utf8(encoding: str, environment: Mapping[str, str]) -> bool:
    """Whether a terminal is told to be one of UTF-8: by the encoding of the output, and by LC_ALL.

    Python itself writes UTF-8 where LC_ALL is C; who sets that has a terminal that shows ASCII.
    """
    if encoding.lower().replace("-", "").replace("_", "") != "utf8":
        return False
    return environment.get("LC_ALL", "") not in {"C", "POSIX"}


def shows_colours(environment: Mapping[str, str], output: int) -> bool:
    """Whether a terminal has colours, as far as the terminals' database tells, and NO_COLOR does not forbid them.

    `output` is the terminal's file descriptor.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("COLORTERM"):
        return True
    try:
        import curses  # noqa: PLC0415 - there is none on every system

        curses.setupterm(environment.get("TERM") or None, output)
        return curses.tigetnum("colors") >= _ENOUGH
    except Exception:  # noqa: BLE001 - an error of its own where the terminal is not known; then it is a new one
        return True
