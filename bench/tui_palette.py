"""The dashboard's palette over the demo's 10,000 builds: `python -m bench.tui_palette FD`, in a terminal.

It types, one letter after the other, and writes to the file descriptor as JSON how many milliseconds went by from each
letter until what was found for it had been drawn.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from textual.widgets import Input

from tui import app
from tui.app import FarmApp
from tui.jumps import found
from tui.screens.menus import Choice, Palette
from tui.source.demo import DemoSource

BUILDS = 10_000
TYPED = ("b:", "web", "linux-12", "no such thing")
"""All builds; words that many, few and none have: what is not there is looked for the longest."""


class PaletteApp(FarmApp):
    """The dashboard, which types into its own palette and leaves."""

    CSS_PATH = str(Path(app.__file__).with_name("app.tcss"))

    def __init__(self, results: int) -> None:
        super().__init__(DemoSource())
        self._results = results
        self._looked = asyncio.Event()

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._go())

    async def _go(self) -> None:
        while len(self.store.builds) < BUILDS:
            await asyncio.sleep(0.1)
        palette = Palette(self._found)
        await self.push_screen(palette)
        line = palette.query_one(Input)
        times, cpus = [], []
        for text in TYPED:
            line.value = ""
            await self._drawn(palette)
            for letter in text:
                cpu, began = time.process_time(), time.perf_counter()
                self._looked.clear()
                line.insert_text_at_cursor(letter)
                await self._drawn(palette)
                times.append((time.perf_counter() - began) * 1000)
                cpus.append((time.process_time() - cpu) * 1000)
        figures = {"builds": len(self.store.builds), "ms": times, "cpu_ms": cpus}
        os.write(self._results, json.dumps(figures).encode() + b"\n")
        self.exit()

    def _found(self, typed: str) -> Sequence[Choice]:
        self._looked.set()
        return found(self.store, typed, self.offered(), self.can_show)

    async def _drawn(self, palette: Palette) -> None:
        """Until what is typed was looked for, and what was found has been drawn."""
        await self._looked.wait()
        done = asyncio.Event()
        palette.call_after_refresh(done.set)
        await done.wait()


if __name__ == "__main__":
    PaletteApp(int(sys.argv[1])).run()
