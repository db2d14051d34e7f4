"""Values as people read them: text, glyph and tone. Pure, and without a screen.

A state is always shown three ways, so that it can be told without colour and without knowing the signs:

    mark("Running") -> Mark(glyph="▸", plain=">", word="Running", tone="active")

Words are those of the API, as it writes them. Tones are names that a theme turns into colours. Two rules hold for
every function here: what is not known is `?`, what there is none of is `-`, and neither is ever 0; and text comes out
short enough for a column, the widest of durations and sizes being seven characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from tui.safe_text import plain

UNKNOWN = "?"
NONE = "-"

Tone = Literal["plain", "good", "bad", "warning", "active", "waiting", "muted"]


class Mark(NamedTuple):
    """A state as shown: one sign, the same for terminals without UTF-8, the API's word, and the tone of both."""

    glyph: str
    plain: str
    word: str
    tone: Tone

    def sign(self, *, utf8: bool = True) -> str:
        """The sign that the terminal can show; one cell wide."""
        return self.glyph if utf8 else self.plain


def _marks(*rows: tuple[str, str, str, Tone]) -> dict[str, Mark]:
    return {word: Mark(glyph, ascii_glyph, word, tone) for word, glyph, ascii_glyph, tone in rows}


BUILD_MARKS = _marks(
    ("Received", "◦", "o", "waiting"),
    ("Queued", "·", ".", "waiting"),
    ("Running", "▸", ">", "active"),
    ("Cancelling", "◂", "<", "warning"),
    ("Succeeded", "✓", "v", "good"),
    ("Failed", "✗", "x", "bad"),
    ("Cancelled", "╌", "-", "muted"),
    ("TimedOut", "◷", "t", "bad"),
    ("Rejected", "⊘", "/", "bad"),
)
"""Builds; stages and attempts share their words."""

PART_MARKS = _marks(
    ("Waiting", "◌", ",", "waiting"),
    ("Ready", "·", ".", "waiting"),
    ("Pending", "·", ".", "waiting"),
    ("Skipped", "↷", "s", "muted"),
    ("HandedBack", "↺", "r", "warning"),
    ("Lost", "‼", "!", "bad"),
)
"""What jobs, stages and attempts have beside the words of builds."""

AGENT_MARKS = _marks(
    ("Pending", "◌", ",", "waiting"),
    ("Idle", "○", "o", "plain"),
    ("Busy", "▸", ">", "active"),
    ("Draining", "◂", "<", "warning"),
    ("Unresponsive", "?", "?", "warning"),
    ("Left", "╌", "-", "muted"),
    ("Exited", "╌", "-", "muted"),
    ("Lost", "‼", "!", "bad"),
)
"""Agents as producer and scaler see them; `Left` and `Exited` are one thing seen by the two of them."""

SOURCE_MARKS = _marks(
    ("connecting", "◌", ",", "waiting"),
    ("connected", "●", "*", "good"),
    ("stale", "◔", "~", "warning"),
    ("down", "✗", "x", "bad"),
)
"""The connection to one source of data."""

TRUST_MARKS = _marks(
    ("Trusted", "✓", "v", "good"),
    ("Stale", "◔", "~", "warning"),
    ("Unknown", "?", "?", "bad"),
)

DECISION_MARKS = _marks(
    ("burst", "⇈", "A", "active"),
    ("first_worker", "↑", "^", "active"),
    ("waited_too_long", "↟", "w", "active"),
    ("drain_target", "⇡", "d", "active"),
    ("trial_worker", "⟰", "y", "active"),
    ("unsuited", "≠", "!", "warning"),
    ("steady", "=", "=", "plain"),
    ("workers_coming", "◌", ",", "waiting"),
    ("at_maximum", "■", "T", "warning"),
    ("farm_at_maximum", "▣", "M", "warning"),
    ("fair_share", "◫", "F", "warning"),
    ("gives_way", "⇊", "G", "active"),
    ("idle_wait", "◷", "t", "muted"),
    ("scale_to_zero", "↓", "v", "active"),
    ("nothing_to_do", "·", ".", "muted"),
    ("unknown_count", "?", "?", "bad"),
    ("executor_unreachable", "✗", "x", "bad"),
    ("start_backoff", "↺", "r", "warning"),
)
"""Reason codes of the scaler's decisions."""

_BY_KIND = {
    "build": BUILD_MARKS,
    "part": {**BUILD_MARKS, **PART_MARKS},
    "agent": AGENT_MARKS,
    "source": SOURCE_MARKS,
    "trust": TRUST_MARKS,
    "decision": DECISION_MARKS,
}
Kind = Literal["build", "part", "agent", "source", "trust", "decision"]
"""Whose state it is; `part` means jobs, stages and attempts."""


def mark(word: str, kind: Kind = "build") -> Mark:
    """How a state is shown; a word that a newer server may send is shown as it is, with `?`."""
    return _BY_KIND[kind].get(word) or Mark("?", "?", plain(word, limit=20) or UNKNOWN, "warning")


def stage_bar(states: Iterable[str], *, utf8: bool = True) -> tuple[tuple[str, Tone], ...]:
    """The stages of a build as one sign each: (sign, tone)."""
    marks = (mark(state, "part") for state in states)
    return tuple((one.sign(utf8=utf8), one.tone) for one in marks)


# ---------------------------------------------------------------- time

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TENTHS_BELOW = 10
_LONGEST_DAYS = 9999


def duration(seconds: float | None) -> str:
    """A length of time: `0.4s`, `42s`, `4m02`, `3h07`, `5d04`; below zero, which clocks that differ give, is 0."""
    if seconds is None or math.isnan(seconds):
        return UNKNOWN
    if seconds > _LONGEST_DAYS * _DAY:
        return f">{_LONGEST_DAYS}d"
    seconds = max(0.0, seconds)
    if seconds < _TENTHS_BELOW - 0.05:
        return f"{seconds:.1f}s"
    return _whole(round(seconds))


def age(seconds: float | None) -> str:
    """How long ago, in whole seconds, so that it does not flicker: `0s`, `42s`, `4m02` ..."""
    if seconds is None or math.isnan(seconds):
        return UNKNOWN
    return f">{_LONGEST_DAYS}d" if seconds > _LONGEST_DAYS * _DAY else _whole(int(max(0.0, seconds)))


def _whole(seconds: int) -> str:
    if seconds < _MINUTE:
        return f"{seconds}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m{seconds % _MINUTE:02}"
    if seconds < _DAY:
        return f"{seconds // _HOUR}h{seconds % _HOUR // _MINUTE:02}"
    return f"{seconds // _DAY}d{seconds % _DAY // _HOUR:02}"


def since(then: datetime | None, now: datetime | None) -> str:
    """The age of a moment; `-` when it never was, `?` when now is not known."""
    if then is None:
        return NONE
    return UNKNOWN if now is None else age((now - then).total_seconds())


def clock(moment: datetime | None, *, milliseconds: bool = False) -> str:
    """The time of day in UTC: `09:30:00`, or with `.250`."""
    if moment is None:
        return NONE
    utc = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())
    return utc.time().isoformat("milliseconds" if milliseconds else "seconds")


def day_and_clock(moment: datetime | None) -> str:
    """Date and time of day in UTC: `2026-11-21 09:30:00`."""
    if moment is None:
        return NONE
    utc = moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta())
    return utc.isoformat(" ", "seconds")


# ---------------------------------------------------------------- numbers

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIBI = 1024
_KILO = 1000
_THREE_DIGITS = 99.95
_LEAST_TENTH = 0.05


def size(count: float | None) -> str:
    """Bytes: `812B`, `1.4KiB`, `312MiB`."""
    if count is None or math.isnan(count):
        return UNKNOWN
    value, unit = max(0.0, float(count)), 0
    while value >= (_KILO if unit == 0 else _KILO - 0.5) and unit + 1 < len(_UNITS):
        value /= _KIBI
        unit += 1
    if unit == 0:
        return f"{value:.0f}B"
    digits = 0 if value >= _THREE_DIGITS else 1
    return f"{min(value, 9999):.{digits}f}{_UNITS[unit]}"


def count(number: int | None) -> str:
    """A whole number with thousands apart: `4,120`."""
    return UNKNOWN if number is None else f"{number:,}"


def short_count(number: float | None) -> str:
    """A number in at most five characters: `412`, `4.1k`, `98k`, `1.2M`."""
    if number is None or math.isnan(number):
        return UNKNOWN
    value = max(0.0, float(number))
    for unit in ("", "k", "M", "G"):
        if value < _KILO - 0.5:
            digits = 1 if unit and value < _TENTHS_BELOW - 0.05 else 0
            return f"{value:.{digits}f}{unit}"
        value /= _KILO
    return ">999G"


def rate(per_second: float | None) -> str:
    """Something a second: `<0.1/s`, `0.4/s`, `12/s`, `3.4k/s`."""
    if per_second is None or math.isnan(per_second):
        return UNKNOWN
    if 0 < per_second < _TENTHS_BELOW - 0.05:
        return f"{per_second:.1f}/s" if per_second >= _LEAST_TENTH else "<0.1/s"
    return f"{short_count(per_second)}/s"


def percent(part: float | None) -> str:
    """A share of one as a percentage: `0.25` -> `25%`."""
    return UNKNOWN if part is None or math.isnan(part) else f"{part * 100:.0f}%"


def short_id(identifier: str) -> str:
    """The last eight characters of an id: those before are the time in a UUIDv7, alike for builds of one burst."""
    return identifier[-8:]
