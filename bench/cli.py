"""The command line: when its help begins, and how fast a folder goes up beside what disk and hash alone take.

A real producer with embedded defaults takes the folder over loopback, on the same disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Row, median, percentile, spread
from bench.upload_memory import producer

HELPS = 20
MEGABYTES = 1024
ROUNDS = 3
_FILE_BYTES = 256 * 1024
_HELP_AIM_MS = 250


async def measure() -> list[Row]:
    """Rows for the help, for a folder of 1 GB, and for what the same machine takes to read, hash and copy it."""
    return [await asyncio.to_thread(first_byte_of_help, HELPS), *await submitted(MEGABYTES, ROUNDS)]


def first_byte_of_help(times: int) -> Row:
    """From the start of the process until the first byte of `buildyard --help`; files are in the page cache."""
    waits = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        command = [sys.executable, "-m", "buildyard.cli", "--help"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.read(1)
            waits.append((time.perf_counter() - begun) * 1000)
            process.communicate()
    waits = waits[1:]  # the first one compiled the modules
    figure = f"p50 {percentile(waits, 0.5):.0f} ms, p95 {percentile(waits, 0.95):.0f} ms"
    return Row("buildyard --help, first byte", figure, spread(waits, "ms"), f"p95 < {_HELP_AIM_MS} ms")


async def submitted(megabytes: int, rounds: int) -> list[Row]:
    """Submit a folder of so many megabytes, half of it text and half random, so many times."""
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as place:
        source, copy = Path(place, "source"), Path(place, "copy")
        await asyncio.to_thread(_fill, source, megabytes)
        async with producer(Path(place, "data")) as (_, url):
            await _submit(url, source)
            sending = [await _submit(url, source) for _ in range(rounds)]
        hashing = [await asyncio.to_thread(_timed, lambda: _hash(source)) for _ in range(rounds)]
        copying = [await asyncio.to_thread(_timed, lambda: _copy(source, copy)) for _ in range(rounds)]
    own = median(sending)
    found = {"sha256 of the same files": hashing, "copy on the same disk, synced": copying}
    rows = [_rate(f"submit of a folder of {megabytes} MB", megabytes, sending, "no slower than hash or disk")]
    rows += [_rate(what, megabytes, taken) for what, taken in found.items()]
    slowest = max(median(taken) for taken in found.values())
    share = f"{own / slowest:.2f} times the slower of hash and disk"
    return [*rows, Row("submit beside hash and disk", share, f"{rounds} runs each", "<= 1")]


def _rate(what: str, megabytes: int, seconds: list[float], aim: str = "") -> Row:
    rates = [megabytes / taken for taken in seconds]
    return Row(what, f"{median(rates):.0f} MB/s", spread(rates, "MB/s"), aim)


async def _submit(url: str, folder: Path) -> float:
    command = [sys.executable, "-m", "buildyard.cli", "--api-url", url, "submit", str(folder), "--json"]
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
    assert await process.wait() == 0
    return time.perf_counter() - begun


def _fill(folder: Path, megabytes: int) -> None:
    """Files of 256 KiB in folders of 64; every second one is words, the others are random bytes."""
    chosen = random.Random(7)
    words = [f"word{number} " for number in range(2000)]
    for number in range(megabytes * 2**20 // _FILE_BYTES):
        text = "".join(chosen.choices(words, k=_FILE_BYTES // 9)).encode() if number % 2 else b""
        target = folder / f"part{number // 64}" / f"file{number}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((text + chosen.randbytes(_FILE_BYTES))[:_FILE_BYTES])


def _hash(folder: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    digest.hexdigest()


def _copy(folder: Path, copy: Path) -> None:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    os.sync()


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
