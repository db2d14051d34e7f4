"""What the dashboard's widgets cost in a real terminal of 160x45, beside Textual's own doing the same work.

Times on the clock are right on a machine that does nothing else; those of CPU hardly depend on what else it does.

`BUILDYARD_BENCH_LONG=1` prints 100,000 lines a second for 60 seconds in place of 5. On its own: `python -m bench.tui`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import Row, median, percentile, spread

COLUMNS, LINES = 160, 45
ROUNDS = 3
KEYS = 100
KEYS_APART = 0.03
PATIENCE = 180.0
LOAD_SECONDS = 6.0
LONG = os.environ.get("BUILDYARD_BENCH_LONG") == "1"
_CONTROL = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]")


@dataclass
class Told:
    """What a run in the terminal told, the milliseconds from keys to paint, and those of CPU that a key took."""

    figures: dict[str, Any]
    latencies: list[float]
    cpu_per_key: float


async def measure() -> list[Row]:
    """All rows; every run is a process of its own in a terminal of its own."""
    return await asyncio.to_thread(_measure)


def _measure() -> list[Row]:
    return [*_fills(), *_updates(), *_cursor(), *_tails(), *_filters(), *_memory()]


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
        ("LogPane", 100_000, 60.0 if LONG else 5.0, "no line lost uncounted"),
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
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    results, tell = os.pipe()
    env = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TEXTUAL"}}
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.tui_apps", widget, work, str(number), str(seconds), str(tell)],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        pass_fds=[tell],
        start_new_session=True,
    )
    os.close(inside)
    os.close(tell)
    try:
        return _attend(terminal, results, child, keys=work.startswith("cursor"), loaded=work.endswith("loaded"))
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
        os.close(results)


def _attend(terminal: int, results: int, child: subprocess.Popen[bytes], *, keys: bool, loaded: bool) -> Told:
    """Read what the child writes until it has told its figures; then press keys where that is the work."""
    heard, screen = b"", b""
    until = time.monotonic() + PATIENCE
    while not heard.endswith(b"\n"):
        ready, _, _ = select.select([terminal, results], [], [], 1.0)
        if results in ready:
            heard += (piece := os.read(results, 65536))
            if not piece:
                raise SystemExit(f"The bench's application ended early:\n{screen.decode(errors='replace')}")
        if terminal in ready:
            screen = (screen + os.read(terminal, 65536))[-4000:]
        if time.monotonic() > until:
            raise SystemExit(f"The bench's application did not end within {PATIENCE:.0f} s (pid {child.pid}).")
    before = _cpu(child.pid)
    latencies = [_press(terminal, loaded=loaded) for _ in range(KEYS)] if keys else []
    return Told(json.loads(heard), latencies, (_cpu(child.pid) - before) * 1000 / KEYS)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _press(terminal: int, *, loaded: bool) -> float:
    """Milliseconds from a cursor key until its paint came: under load until the cursor's own sign is drawn."""
    until = time.monotonic() + KEYS_APART
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            os.read(terminal, 65536)
    began = time.perf_counter()
    os.write(terminal, b"\x1b[B")
    drawn = b""
    while time.perf_counter() - began < PATIENCE:
        if select.select([terminal], [], [], 1.0)[0]:
            drawn += os.read(terminal, 65536)
            if not loaded or b">" in _CONTROL.sub(b"", drawn):
                return (time.perf_counter() - began) * 1000
    raise SystemExit("A key was not answered.")


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}", flush=True)
