"""What the caller of a queue does: `python -m bench.peers.client NAME send COUNT PAUSE`, or `NAME rows FILE`."""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, cast

from bench.peers.rows import handle
from bench.peers.wishes import Result, Row


class Program(Protocol):
    """The module of one queue."""

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Be connected for the length of the block."""

    async def send(self, sent: int) -> None:
        """Send one message that carries when it was sent, and wait until the broker has it."""

    async def work_off(self, rows: list[Row]) -> list[Result]:
        """Have every row worked on, and get all results back, in order."""


async def main(name: str, what: str, *words: str) -> None:
    """Do what the driver asks for; a batch's time and number of results are written to standard output."""
    program = cast("Program", importlib.import_module(f"bench.peers.{name}_app"))
    async with program.opened():
        if what == "send":
            for _ in range(int(words[0])):
                await program.send(time.monotonic_ns())
                await asyncio.sleep(float(words[1]))
        else:
            sys.stdout.write(json.dumps(await _rows(program, Path(words[0]))))


async def _rows(program: Program, file: Path) -> dict[str, float]:
    began = time.perf_counter()
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [(number, dict(values)) for number, values in enumerate(csv.DictReader(lines), 1)]
    results = await program.work_off(rows)
    seconds, cpu = time.perf_counter() - began, time.process_time()
    right = sum(result == handle(*row) for row, result in zip(rows, results, strict=True))
    return {"seconds": seconds, "cpu": cpu, "right": right}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
