"""How long `./manage.sh demo` takes once its environment is there."""

from __future__ import annotations

import asyncio
import sys
import time

from bench.children import child
from bench.figures import Row, median, spread

ROUNDS = 3


async def measure() -> list[Row]:
    """One row: wall time of whole demos."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        words = (sys.executable, "-m", "buildyard.cli.demo")
        async with child(*words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE) as process:
            _, errors = await process.communicate()
        if process.returncode:
            raise SystemExit(f"The demo failed: {errors.decode(errors='replace')[-2000:]}")
        seconds.append(time.perf_counter() - began)
    return [Row("demo, after set-up", f"{median(seconds):.1f} s", spread(seconds, "s"), "< 90 s")]
