"""What the dashboard costs in a real terminal of 160x45: widgets, beside Textual's own doing the same work, and all.

Times on the clock are right on a machine that does nothing else; those of CPU hardly depend on what else it does.
On its own: `python -m bench.tui`.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench import tui_farm
from bench.figures import Row, median, percentile, spread
from bench.processes import cpu_seconds
from bench.tui_terminal import PATIENCE, Terminal, in_terminal

ROUNDS = 3
KEYS = 100
KEYS_APART = 0.03
LOAD_SECONDS = 6.0
LONG_SECONDS = 60.0
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]")


@dataclass
class Told:
    """What a run in the terminal told, the milliseconds from keys to paint, and those of CPU that a key took."""

    figures: dict[str, Any]
    latencies: list[float]
    cpu_per_key: float


async def measure() -> list[Row]:
    """All rows; every run is a process of its own in a terminal of its own."""
    return [*await asyncio.to_thread(_measure), *await tui_farm.measure()]


def _measure() -> list[Row]:
    return [*_fills(), *_updates(), *_cursor(), *_tails(), *_filters(), *_palette(), *_memory()]


def _fills() -> list[Row]:
    rows = []
    for widget, count, aim in (
        ("VirtualTable", 10_000, "<= 100 ms"),
        ("VirtualTable", 100_000, "<= 250 ms"),
        ("DataTable", 10_000, ""),
    ):
        runs = [_run(widget, "fill", count).figures for _ in range(ROUNDS)]
        wall, cpu = [run["ms"] for run in runs], [run["cpu_ms"] for run in runs]
        what = f"{count:,} rows until painted, {widget}"
        rows.append(Row(what, f"{median(wall):.0f} ms (CPU {median(cpu):.0f} ms)", spread(wall, "ms"), aim))
    return rows


def _updates() -> list[Row]:
    rows = []
    for widget, aim in (("VirtualTable", "<= 5 % of a core"), ("DataTable", "")):
        runs = [_run(widget, "updates", 10_000, LOAD_SECONDS) for _ in range(ROUNDS)]
        cpu = [run.figures["cpu_percent"] for run in runs]
        rate = median([run.figures["updates"] / run.figures["seconds"] for run in runs])
        what = f"500 row updates a second over 10,000 rows, CPU, {widget}"
        rows.append(Row(what, f"{median(cpu):.1f} % of a core at {rate:.0f}/s", spread(cpu, "%"), aim))
    return rows


def _cursor() -> list[Row]:
    rows = []
    aim = "p50 <= 10 ms, p95 <= 30 ms"
    for widget, work, what in (
        ("VirtualTable", "cursor", "cursor key to paint over 10,000 rows"),
        ("VirtualTable", "cursor-loaded", "the same under 500 updates a second"),
        ("DataTable", "cursor", "cursor key to paint over 10,000 rows"),
    ):
        told = [_run(widget, work, 10_000) for _ in range(ROUNDS)]
        runs = [run.latencies for run in told]
        every = [value for run in runs for value in run]
        figure = f"p50 {percentile(every, 0.5):.1f} ms, p95 {percentile(every, 0.95):.1f} ms"
        if work == "cursor":
            figure += f" (CPU {median([run.cpu_per_key for run in told]):.1f} ms a key)"
        medians = spread([percentile(run, 0.5) for run in runs], "ms")
        rows.append(Row(f"{what}, {widget}", figure, f"p50 {medians}", aim if widget == "VirtualTable" else ""))
    return rows


def _tails() -> list[Row]:
    rows = []
    for widget, rate, seconds, aim in (
        ("LogPane", 10_000, LOAD_SECONDS, "<= 15 % of a core"),
        ("LogPane", 100_000, LONG_SECONDS, "no line lost uncounted"),
        ("RichLog", 10_000, LOAD_SECONDS, ""),
    ):
        runs = [_run(widget, "tail", rate, seconds) for _ in range(1 if seconds > LOAD_SECONDS else ROUNDS)]
        cpu = [run.figures["cpu_percent"] for run in runs]
        last = runs[-1].figures
        came = median([run.figures["sent"] / run.figures["seconds"] for run in runs])
        figure = f"{median(cpu):.1f} % of a core at {came:,.0f}/s"
        if "exact" in last:
            exact = all(run.figures["exact"] for run in runs)
            counted = f"{last['sent']:,} = {last['kept']:,} kept + {last['dropped']:,} dropped"
            figure += f"; {'exact' if exact else 'WRONG'}: {counted}"
        rows.append(
            Row(f"tail of {rate:,} lines a second for {seconds:.0f} s, {widget}", figure, spread(cpu, "%"), aim)
        )
    return rows


def _filters() -> list[Row]:
    runs = [_run("LogPane", "filter", 100_000).figures for _ in range(ROUNDS)]
    wall, cpu = [run["ms"] for run in runs], [run["cpu_ms"] for run in runs]
    figure = f"{median(wall):.0f} ms (CPU {median(cpu):.0f} ms)"
    return [Row("filter of 100,000 lines until painted, slowest of four", figure, spread(wall, "ms"), "<= 100 ms")]


def _palette() -> list[Row]:
    runs = [_told(["bench.tui_palette"]).figures for _ in range(ROUNDS)]
    slowest = [max(run["ms"]) for run in runs]
    middle = median([value for run in runs for value in run["ms"]])
    figure = (
        f"{median(slowest):.0f} ms (p50 {middle:.0f} ms, CPU {median([max(run['cpu_ms']) for run in runs]):.0f} ms)"
    )
    what = f"palette over {runs[-1]['builds']:,} builds, from a key until painted, slowest key"
    return [Row(what, figure, spread(slowest, "ms"), "<= 100 ms")]


def _memory() -> list[Row]:
    command = [sys.executable, "-m", "bench.tui_store"]
    runs = [json.loads(subprocess.check_output(command)) for _ in range(ROUNDS)]
    rows = []
    for part, what, aim in (
        (
            "store",
            "memory of a store: 400 agents, 10,000 builds, an hour of decisions that name all agents",
            "<= 80 MB",
        ),
        ("log", "and of a log of 100,000 lines beside it", ""),
    ):
        sizes = [run[part] / 1e6 for run in runs]
        rows.append(Row(what, f"{median(sizes):.0f} MB", spread(sizes, "MB"), aim))
    return rows


# ---------------------------------------------------------------- one run in a terminal


def _run(widget: str, work: str, number: int, seconds: float = 0.0) -> Told:
    words = ["bench.tui_apps", widget, work, str(number), str(seconds)]
    return _told(words, keys=work.startswith("cursor"), loaded=work.endswith("loaded"))


def _told(words: Sequence[str], *, keys: bool = False, loaded: bool = False) -> Told:
    """Run an application of ours, which tells its figures to the file descriptor that is its last argument.

    Then press keys where that is the work.
    """
    results, tell = os.pipe()
    with os.fdopen(results, "rb") as heard, os.fdopen(tell, "wb") as told:
        command = [sys.executable, "-m", *words, str(told.fileno())]
        with in_terminal(command, pass_fds=[told.fileno()]) as terminal:
            told.close()
            figures = json.loads(_line(terminal, heard.fileno()))
            before = cpu_seconds([terminal.process.pid])
            latencies = [_press(terminal, loaded=loaded) for _ in range(KEYS)] if keys else []
            return Told(figures, latencies, (cpu_seconds([terminal.process.pid]) - before) * 1000 / KEYS)


def _line(terminal: Terminal, results: int) -> bytes:
    """What is told, to its end; what is drawn meanwhile is read."""
    heard, until = b"", time.monotonic() + PATIENCE
    while not heard.endswith(b"\n"):
        ready, _, _ = select.select([terminal.master, results], [], [], 1.0)
        if results in ready:
            heard += (piece := os.read(results, 65536))
            if not piece:
                raise SystemExit(
                    f"The bench's application ended early:\n{terminal.seen[-4000:].decode(errors='replace')}"
                )
        elif ready:
            terminal.read(0)
        if time.monotonic() > until:
            raise SystemExit(f"The bench's application did not end within {PATIENCE:.0f} s.")
    return heard


def _press(terminal: Terminal, *, loaded: bool) -> float:
    """Milliseconds from a cursor key until its paint came: under load until the cursor's own sign is drawn."""
    terminal.attend(KEYS_APART)
    began = time.perf_counter()
    terminal.press(b"\x1b[B")
    while time.perf_counter() - began < PATIENCE:
        if terminal.read(1.0) and (not loaded or b">" in _CONTROL.sub(b"", terminal.seen)):
            return (time.perf_counter() - began) * 1000
    raise SystemExit("A key was not answered.")


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}", flush=True)
