"""Numbers with their spread, and the page they are written on: one section for each bench, rewritten on its own."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
_HEAD = (
    "# Benchmarks\n\n"
    "Each section is written by its own command, which it names beside the machine and the day. Absolute figures are "
    "that machine's: run the command on yours. Only figures of one section were measured under the same load.\n"
)
_SECTION = re.compile(r"<!-- bench (?P<name>\S+) -->\n(?P<text>.*?)<!-- end (?P=name) -->\n", re.DOTALL)


class NotMeasured(Exception):
    """Something a bench needs is missing on this machine; its section stays as it is."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `aim` is what we want it to be, empty where there is none."""

    what: str
    figure: str
    spread: str
    aim: str = ""


@dataclass(frozen=True)
class Section:
    """What a bench found: rows, and Markdown of its own below their table."""

    rows: Sequence[Row]
    text: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def spread(values: Sequence[float], unit: str) -> str:
    """Lowest to highest, with the number of values."""
    return f"{min(values):.3g} to {max(values):.3g} {unit} in {len(values)} runs"


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def written(name: str, title: str, section: Section) -> str:
    """A section as it stands on the page, without its marks."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    where = (
        f"`./manage.sh bench {name}` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}."
    )
    table = [f"| {row.what} | {row.figure} | {row.spread} | {row.aim} |" for row in section.rows]
    head = ["| what | figure | spread | aim |", "|---|---|---|---|"] if table else []
    lines = [f"## {title}", "", where, "", *head, *table, *([""] if table else [])]
    return "\n".join(lines) + (f"\n{section.text.strip()}\n\n" if section.text else "\n")


def page(old: str, fresh: Mapping[str, str], order: Sequence[str]) -> str:
    """The page with fresh sections in place of those of the same name; sections of benches that are gone are left out.

    `fresh` holds sections as `written` gives them, `order` the names of all benches.
    """
    sections = {match["name"]: match["text"] for match in _SECTION.finditer(old)} | dict(fresh)
    marked = [f"<!-- bench {name} -->\n{sections[name]}<!-- end {name} -->\n" for name in order if name in sections]
    return "\n".join([_HEAD, *marked])


def write(fresh: Mapping[str, str], order: Sequence[str]) -> None:
    """Put fresh sections on the page in docs/."""
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(old, fresh, order), encoding="utf-8")
