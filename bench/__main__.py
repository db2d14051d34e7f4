"""`python -m bench [NAME…]`: run benches, all without a name; each writes its own section of docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

from bench import (
    api,
    broker,
    broker_latency,
    cli,
    cluster,
    demo,
    drain,
    estimate,
    follow,
    idle,
    images,
    live,
    simulate,
    sizing,
    start,
    submissions,
    tui,
    upload_memory,
)
from bench.figures import NotMeasured, Row, Section, write, written
from buildyard.cli.exits import INTERRUPTED
from buildyard.cli.foreground import until_told

BENCHES: dict[str, tuple[str, Callable[[], Awaitable[Section | Sequence[Row]]]]] = {
    "start": ("From queued to started", start.measure),
    "submissions": ("Accepting uploads", submissions.measure),
    "api": ("Accepting and reading beside a bare FastAPI", api.measure),
    "follow": ("Logs as they are written", follow.measure),
    "live": ("Events to a thousand clients", live.measure),
    "estimate": ("Estimates", estimate.measure),
    "drain": ("Draining a queue", drain.measure),
    "simulate": ("The simulator, and a live run of what it predicted", simulate.measure),
    "idle": ("A farm that does nothing", idle.measure),
    "upload": ("Memory of a large upload", upload_memory.measure),
    "latency": ("A message on its way", broker_latency.measure),
    "broker": ("Beside other job queues on one RabbitMQ", broker.measure),
    "cli": ("The command line", cli.measure),
    "images": ("Images: size and start", images.measure),
    "sizing": ("Workers for a load, beside KEDA's strategies", sizing.measure),
    "cluster": ("On a Kubernetes control plane", cluster.measure),
    "demo": ("The demo", demo.measure),
    "tui": ("The dashboard, in a terminal of 160x45", tui.measure),
}
"""Name on the command line: title of its section, and what measures it."""


def main() -> int:
    """Run the benches named, or all; 1 when one that was named could not be measured, 130 after a signal.

    A signal that asks for the end stops what is measured in order, farms and all; what was not measured to its end is
    not written.
    """
    names = sys.argv[1:] or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"There is no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}.\n")
        return 2
    missed = False
    for name in names:
        sys.stderr.write(f"measuring: {name}\n")
        title, measure = BENCHES[name]
        try:
            found = asyncio.run(_run(measure))
        except NotMeasured as error:
            sys.stderr.write(f"not measured: {error}\n")
            missed = True
            continue
        except asyncio.CancelledError:
            sys.stderr.write("stopped\n")
            return INTERRUPTED
        section = found if isinstance(found, Section) else Section(found)
        for row in section.rows:
            sys.stdout.write(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}\n")
        if section.text:
            sys.stdout.write(f"{section.text}\n")
        write({name: written(name, title, section)}, list(BENCHES))
    return int(missed and bool(sys.argv[1:]))


async def _run(measure: Callable[[], Awaitable[Section | Sequence[Row]]]) -> Section | Sequence[Row]:
    return await until_told(measure())


if __name__ == "__main__":
    sys.exit(main())
