"""The Test Anything Protocol, versions 12 to 14 (testanything.org), with nested subtests and YAML diagnostics.

A test point that has subtests is counted through them, unless it failed by itself. `not ok` with TODO or SKIP is no
failure. A missing point of the plan and `Bail out!` are failures. Output without version or plan line is no TAP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from buildyard.contracts.builds import CaseStatus
from worker.toolchains.results import Counts, Results

_VERSION = re.compile(r"TAP version \d{1,3}\s*$")
_PLAN = re.compile(r"1\.\.(\d{1,9})(?:\s|$)")
_POINT = re.compile(r"(not )?ok\b")
_NUMBER = re.compile(r"\s*\d*\s*(?:-\s)?\s*")
_DIRECTIVE = re.compile(r"(?i)#\s*(?:skip|todo)\b")
_SUBTEST = "# Subtest: "
_DEEPEST = 32
_STEP = 4
_MOST_LINES = 100


@dataclass
class _Level:
    """The points of one nesting level since the last point of the level outside it."""

    points: int = 0
    failed: bool = False
    name: str = ""


@dataclass
class _Point:
    """A point whose diagnostics may still follow; None is the verdict of one that is counted through its subtests."""

    verdict: CaseStatus | None
    name: str
    suite: str
    details: list[str] = field(default_factory=list)


class Tap:
    """Reads the output of one command; all of it is shown."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._levels: list[_Level] = [_Level()]
        self._planned: int | None = None
        self._is_tap = False
        self._pending: _Point | None = None
        self._block_indent: int | None = None

    def shown(self, raw: bytes) -> bytes:
        """Every line as it is."""
        return raw

    def take(self, line: str) -> None:
        """One line of standard output or error."""
        text = line.rstrip()
        stripped = text.lstrip(" ")
        indent = len(text) - len(stripped)
        if not self._in_block(text, stripped, indent):
            self._end_pending()
            if indent % _STEP == 0:
                self._line(stripped, indent // _STEP)

    def results(self) -> Results:
        """What was told; nothing without a version or a plan line."""
        self._end_pending()
        if not self._is_tap:
            return Counts().results()
        top = self._levels[0].points
        if self._planned is not None and top < self._planned:
            self._counts.fail("the plan", message=f"{self._planned} tests were planned and {top} ran.")
        return self._counts.results()

    def _in_block(self, text: str, stripped: str, indent: int) -> bool:
        """Whether the line belongs to a YAML block, which starts with `---` below its point and ends with `...`."""
        if self._block_indent is not None:
            if indent < self._block_indent and stripped:
                self._block_indent = None
                return False
            if stripped == "..." and indent == self._block_indent:
                self._block_indent = None
            elif self._pending is not None and len(self._pending.details) < _MOST_LINES:
                self._pending.details.append(text[self._block_indent :])
            return True
        if stripped == "---" and indent and self._levels[0].points + len(self._levels) > 1:
            self._block_indent = indent
            return True
        return False

    def _line(self, text: str, depth: int) -> None:
        if depth >= _DEEPEST:
            return
        if found := _POINT.match(text):
            self._point(text[found.end() :], depth, failed=bool(found[1]))
        elif text.startswith(_SUBTEST):
            self._level(depth).name = text.removeprefix(_SUBTEST)
        elif depth == 0 and (_VERSION.match(text) or _PLAN.match(text)):
            self._is_tap = True
            if plan := _PLAN.match(text):
                self._planned = int(plan[1])
        elif depth == 0 and text.startswith("Bail out!"):
            self._counts.fail("Bail out!", message=text.removeprefix("Bail out!"))

    def _level(self, depth: int) -> _Level:
        while len(self._levels) <= depth:
            self._levels.append(_Level())
        return self._levels[depth]

    def _point(self, rest: str, depth: int, *, failed: bool) -> None:
        level = self._level(depth)
        level.points += 1
        inner = self._levels[depth + 1] if len(self._levels) > depth + 1 else _Level()
        del self._levels[depth + 1 :]
        directive = _DIRECTIVE.search(rest)
        verdict: CaseStatus | None = None
        if failed and not directive and not inner.failed:
            verdict = "failed"
        elif not inner.points:
            verdict = "skipped" if directive else "passed"
        name = rest[found.end() : directive.start() if directive else None] if (found := _NUMBER.match(rest)) else rest
        suite = " > ".join(outer.name for outer in self._levels[:depth] if outer.name)
        self._pending = _Point(verdict, name.strip() or level.name, suite)
        level.failed = level.failed or (failed and not directive)

    def _end_pending(self) -> None:
        point, self._pending = self._pending, None
        if point is None:
            return
        facts = _facts(point.details)
        seconds = _seconds(facts.get("duration_ms", ""))
        if point.verdict == "failed":
            place = facts.get("location") or ":".join(facts[key] for key in ("file", "line") if facts.get(key))
            message = facts.get("error") or facts.get("message") or "\n".join(point.details)
            place = re.sub(r"(:\d+):\d+$", r"\1", place).removeprefix("file://")
            self._counts.fail(point.name, point.suite, message, place, seconds)
        elif point.verdict is not None:
            self._counts.note(point.verdict, point.name, point.suite, seconds)
        else:
            self._counts.took(" > ".join(name for name in (point.suite, point.name) if name), seconds)


def _facts(details: list[str]) -> dict[str, str]:
    """The plain keys of a YAML block, the first of each; a text block (`|`, `>`) with its lines joined."""
    facts: dict[str, str] = {}
    block = ""
    for line in details:
        stripped = line.strip()
        if block and (line.startswith("  ") or not stripped):
            facts[block] += f"\n{stripped}"
            continue
        key, colon, value = stripped.partition(":")
        block = key if colon and re.fullmatch(r"\s*[|>][-+]?", value) else ""
        if colon:
            facts.setdefault(key, "" if block else _unquoted(value.strip()))
    return facts


def _unquoted(value: str) -> str:
    for quote in ("'", '"'):
        if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
            return value[1:-1].replace("''", "'") if quote == "'" else value[1:-1]
    return value


def _seconds(milliseconds: str) -> float:
    found = re.fullmatch(r"\d{1,12}(?:\.\d{1,12})?", milliseconds)
    return float(found[0]) / 1000 if found else 0.0
