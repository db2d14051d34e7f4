"""Applications that `bench.tui` runs in a terminal: `python -m bench.tui_apps WIDGET WORK NUMBER SECONDS FD`.

Each does one piece of work with one widget, ours or Textual's own, and writes what it measured as a line of JSON to
the file descriptor. Rows and lines are the same for both.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from textual.app import App, ComposeResult
from textual.widgets import DataTable, RichLog

from tui.widgets.columns import Cell, Column
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry
from tui.widgets.virtual_table import VirtualTable

NAMES = ("build", "state", "branch", "stages", "wait", "run", "worker", "commit")
LINE = "2026-11-21T09:30:00 step {:>9} building src/Module/Component.cs for net8.0 (Release), please wait..."
UPDATES_A_BATCH, BATCHES_A_SECOND = 50, 10
FILTERS = ("99999", "component", "999 wait", "nothing such")


def one_row(number: int, turn: int = 0) -> tuple[str, ...]:
    """A row of eight texts."""
    state = ("Running", "Queued", "Succeeded", "Failed")[(number + turn) % 4]
    return (
        f"b-{number:06}",
        state,
        f"feature/change-{number % 97}",
        "vvx...",
        f"{number % 240}s",
        f"{(number + turn) % 600}s",
        f"linux-{number % 400}",
        f"{number * 2654435761 % 2**32:08x}",
    )


class TupleRows:
    """Rows as a store would give them."""

    def __init__(self, count: int) -> None:
        self.rows = {row[0]: row for row in (one_row(number) for number in range(count))}
        self.versions = dict.fromkeys(self.rows, 0)

    def keys(self) -> Sequence[str]:
        return list(self.rows)

    def row(self, key: str) -> tuple[str, ...]:
        return self.rows[key]

    def version(self, key: str) -> int:
        return self.versions[key]


def columns() -> list[Column[tuple[str, ...]]]:
    """The same eight for both tables."""

    def cell(index: int) -> Callable[[tuple[str, ...]], Cell]:
        return lambda row: Cell(row[index])

    return [Column(name, name, cell(index), 18) for index, name in enumerate(NAMES)]


class Work(App[None]):
    """One widget and one piece of work."""

    def __init__(self, widget: str, work: str, number: int, seconds: float, results: int) -> None:
        super().__init__()
        self.kind, self.work, self.number, self.seconds, self.results = widget, work, number, seconds, results
        self.rows = TupleRows(number if work in {"fill", "updates", "cursor", "cursor-loaded"} else 0)

    def compose(self) -> ComposeResult:
        if self.kind == "VirtualTable":
            self.table = VirtualTable(TupleRows(0), columns())
            yield self.table
        elif self.kind == "DataTable":
            self.their_table: DataTable[str] = DataTable(cursor_type="row")
            yield self.their_table
        elif self.kind == "LogPane":
            self.pane = LogPane()
            yield self.pane
        else:
            self.their_log = RichLog(max_lines=100_000)
            yield self.their_log

    def on_mount(self) -> None:
        self.screen.children[0].focus()
        if self.kind == "DataTable":
            for name in NAMES:
                self.their_table.add_column(name, key=name, width=18)
        self.run_worker(self._go())

    async def _go(self) -> None:
        await asyncio.sleep(0.3)  # the first frame is not what is measured
        works = {"fill": self._fill, "updates": self._updates, "tail": self._tail, "filter": self._filtering}
        work = works.get(self.work, self._cursor)
        self._tell(await work())
        if work != self._cursor:
            self.exit()

    def _tell(self, figures: dict[str, Any]) -> None:
        os.write(self.results, json.dumps(figures).encode() + b"\n")

    async def _painted(self) -> None:
        """Until what was done so far has been drawn."""
        done = asyncio.Event()
        self.screen.children[0].call_after_refresh(done.set)
        await done.wait()

    async def _fill(self) -> dict[str, Any]:
        cpu, began = time.process_time(), time.perf_counter()
        if self.kind == "VirtualTable":
            self.table.reload(self.rows)
        else:
            for key, row in self.rows.rows.items():
                self.their_table.add_row(*row, key=key)
        await self._painted()
        return {"ms": (time.perf_counter() - began) * 1000, "cpu_ms": (time.process_time() - cpu) * 1000}

    async def _cursor(self) -> dict[str, Any]:
        await self._fill()
        await asyncio.sleep(0.5)
        if self.work == "cursor-loaded":
            self.run_worker(self._load(3600))
        return {"ready": True}

    async def _updates(self) -> dict[str, Any]:
        await self._fill()
        await asyncio.sleep(1)
        return await self._share(self._load(self.seconds))

    async def _load(self, seconds: float) -> dict[str, Any]:
        chance, keys = random.Random(1), list(self.rows.rows)
        until, turn = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            turn += 1
            picked = [chance.choice(keys) for _ in range(UPDATES_A_BATCH)]
            for key in picked:
                row = one_row(int(key[2:]), turn)
                if self.kind == "VirtualTable":
                    self.rows.rows[key] = row
                    self.rows.versions[key] += 1
                else:
                    self.their_table.update_cell(key, "state", row[1])
                    self.their_table.update_cell(key, "run", row[5])
            if self.kind == "VirtualTable":
                self.table.changed(picked)
            await asyncio.sleep(1 / BATCHES_A_SECOND)
        return {"updates": turn * UPDATES_A_BATCH}

    async def _tail(self) -> dict[str, Any]:
        return await self._share(self._lines())

    async def _lines(self) -> dict[str, Any]:
        """Lines at `number` a second, as many as are due, every twentieth of a second."""
        sent, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < self.seconds:
            due = int(passed * self.number) - sent
            if self.kind == "LogPane":
                self.pane.extend([LogEntry(LINE.format(sent + n), 0.0) for n in range(due)])
            else:
                for n in range(due):
                    self.their_log.write(LINE.format(sent + n))
            sent += due
            await asyncio.sleep(0.05)
        await self._painted()
        if self.kind != "LogPane":
            return {"sent": sent}
        account, kept = self.pane.reader.ring.account, len(self.pane.reader.ring)
        exact = sent == account.received == kept + account.dropped
        return {"sent": sent, "kept": kept, "dropped": account.dropped, "exact": exact}

    async def _filtering(self) -> dict[str, Any]:
        self.pane.extend([LogEntry(LINE.format(n), 0.0) for n in range(self.number)])
        self.pane.flush()
        await self._painted()
        times, cpus = [], []
        for wanted in FILTERS:
            cpu, began = time.process_time(), time.perf_counter()
            self.pane.set_filter(wanted)
            await self._painted()
            times.append((time.perf_counter() - began) * 1000)
            cpus.append((time.process_time() - cpu) * 1000)
        return {"ms": max(times), "cpu_ms": max(cpus)}

    async def _share(self, work: Any) -> dict[str, Any]:
        cpu, began = time.process_time(), time.perf_counter()
        figures: dict[str, Any] = await work
        wall = time.perf_counter() - began
        return {**figures, "cpu_percent": (time.process_time() - cpu) / wall * 100, "seconds": wall}


if __name__ == "__main__":
    name, job, amount, lasting, descriptor = sys.argv[1:]
    Work(name, job, int(amount), float(lasting), int(descriptor)).run()
