"""Numbers with their spread, and the page they are written on."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Row:
    """One line of the table; `aim` is what we want it to be, empty where there is none."""

    what: str
    figure: str
    spread: str
    aim: str = ""


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


def write(rows: Sequence[Row], command: str) -> None:
    """Write the page."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    where = (
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}. Absolute figures are this "
        "machine's; run the command on yours."
    )
    lines = [
        "# Benchmarks",
        "",
        where,
        "",
        "| what | figure | spread | aim |",
        "|---|---|---|---|",
        *(f"| {row.what} | {row.figure} | {row.spread} | {row.aim} |" for row in rows),
        "",
    ]
    PAGE.write_text("\n".join(lines))
