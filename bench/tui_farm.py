"""The dashboard as a whole process, in a real terminal of 160x45, over a live farm that does nothing.

The farm is embedded and this bench's own: producer, scaler and one worker, which have built something. Figures are
those of the dashboard's process alone, imports and all. On its own: `python -m bench.tui_farm`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.farms import Setting, farm, make_project, times, upload
from bench.figures import Row, median, spread
from bench.processes import cpu_seconds, pss_mb
from bench.tui_terminal import Terminal, in_terminal
from buildyard.client import ProducerClient

ROUNDS = 3
BUILDS = 12
SETTLE_SECONDS, LOOK_SECONDS = 6.0, 20.0
NOWHERE = "http://127.0.0.1:9"
SCREENS = {"Overview": b"1", "Builds": b"2"}
"""Each with its key."""


@dataclass(frozen=True)
class Look:
    """What one screen cost while nothing happened: percent of a core, kB a second written."""

    share: float
    kilobytes: float


@dataclass(frozen=True)
class Lived:
    """One dashboard from its start to its end: milliseconds to the first frame, and to builds in it; its looks, MB."""

    frame: float
    builds: float
    looks: dict[str, Look]
    pss: float
    rss: float


async def measure() -> list[Row]:
    """Rows for start, CPU, output and memory."""
    setting = Setting("embedded (SQLite, files)", {})
    async with farm(setting) as running, ProducerClient(running.api_url) as client:
        for _ in range(BUILDS):
            await times(client, await upload(client, make_project()))
        lives = [await asyncio.to_thread(_lived, running.api_url, running.scaler_url) for _ in range(ROUNDS)]
    alone = [await asyncio.to_thread(_first_frame, NOWHERE, NOWHERE) for _ in range(ROUNDS)]
    return [*_starts(lives, alone), *_idle(lives)]


def _starts(lives: list[Lived], alone: list[float]) -> list[Row]:
    frames, builds = [life.frame for life in lives], [life.builds for life in lives]
    return [
        Row("dashboard's first frame, no server there", f"{median(alone):.0f} ms", spread(alone, "ms"), "<= 700 ms"),
        Row(
            "dashboard's first frame over a live farm",
            f"{median(frames):.0f} ms (with builds in it {median(builds):.0f} ms)",
            spread(frames, "ms"),
            "<= 700 ms",
        ),
    ]


def _idle(lives: list[Lived]) -> list[Row]:
    rows = []
    for name in SCREENS:
        shares = [life.looks[name].share for life in lives]
        rates = [life.looks[name].kilobytes for life in lives]
        what = f"whole dashboard over an idle live farm, {name}"
        rows.append(Row(f"{what}, CPU", f"{median(shares):.1f} % of a core", spread(shares, "%"), "<= 3 % of a core"))
        rows.append(Row(f"{what}, output", f"{median(rates):.1f} kB/s", spread(rates, "kB/s"), "<= 10 kB/s"))
    pss, rss = [life.pss for life in lives], [life.rss for life in lives]
    what = "whole dashboard over an idle live farm, memory (PSS)"
    rows.append(Row(what, f"{median(pss):.0f} MB (RSS {median(rss):.0f} MB)", spread(pss, "MB"), "<= 80 MB"))
    return rows


# ---------------------------------------------------------------- one dashboard


def _lived(api_url: str, scaler_url: str) -> Lived:
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
        command = _command(api_url, scaler_url)
        with in_terminal(command, {"XDG_CONFIG_HOME": folder}) as terminal:
            frame = terminal.until(b"Attention")
            builds = terminal.until(b"Succeeded")
            looks = {name: _look(terminal, key) for name, key in SCREENS.items()}
            pid = terminal.process.pid
            return Lived(frame * 1000, builds * 1000, looks, pss_mb([pid]), _rss_mb(pid))


def _first_frame(api_url: str, scaler_url: str) -> float:
    """Milliseconds."""
    command = _command(api_url, scaler_url)
    with (
        tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder,
        in_terminal(command, {"XDG_CONFIG_HOME": folder}) as terminal,
    ):
        return terminal.until(b"Attention") * 1000


def _command(api_url: str, scaler_url: str) -> list[str]:
    return [sys.executable, "-m", "tui", "--api-url", api_url, "--scaler-url", scaler_url]


def _look(terminal: Terminal, key: bytes) -> Look:
    terminal.press(key)
    terminal.attend(SETTLE_SECONDS)
    pid = terminal.process.pid
    cpu, written, began = cpu_seconds([pid]), terminal.bytes, time.perf_counter()
    terminal.attend(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    return Look((cpu_seconds([pid]) - cpu) / seconds * 100, (terminal.bytes - written) / seconds / 1000)


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}", flush=True)
