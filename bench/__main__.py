"""`python -m bench [NAME…]`: run benchmarks; all of them together are written to docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from bench import broker_latency, demo, idle, start, submissions, upload_memory
from bench.figures import Row, write

BENCHES: dict[str, Callable[[], Awaitable[list[Row]]]] = {
    "start": start.measure,
    "submissions": submissions.measure,
    "idle": idle.measure,
    "upload": upload_memory.measure,
    "broker": broker_latency.measure,
    "demo": demo.measure,
}


def main() -> int:
    """Run the benches named, or all."""
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"There is no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}.\n")
        return 2
    rows: list[Row] = []
    for name in names:
        sys.stderr.write(f"measuring: {name}\n")
        for row in asyncio.run(_run(name)):
            sys.stdout.write(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}\n")
            rows.append(row)
    if len(names) == len(BENCHES):
        write(rows, "./manage.sh bench")
    return 0


async def _run(name: str) -> list[Row]:
    return await BENCHES[name]()


if __name__ == "__main__":
    sys.exit(main())
