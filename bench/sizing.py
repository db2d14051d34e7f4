"""`bench sizing`: how many workers policies start for a load, beside KEDA's strategies, on fast and on slow nodes.

All of it is simulated, the loads are the same for all, and our side is the `decide` that the scaler runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

from bench.figures import Row, Section, median
from bench.keda import Strategy, simulate_scaled_job
from buildyard.contracts.scaling import ScalingPolicy
from scaler.loads import SHAPES, Shape, generate
from scaler.plots import svg
from scaler.simulate import Farm, Job, Outcome, simulate

PICTURE = Path(__file__).parents[1] / "docs" / "scaling" / "sizing.svg"
SEEDS = range(1, 11)
MOST = 50
HOURS, PER_HOUR, JOB_SECONDS = 1.0, 300.0, 60.0
NODES = {"workers start in 5-10 s": (5.0, 7.0, 10.0), "workers start in 45-120 s": (45.0, 80.0, 120.0)}
_POLL_SECONDS = 5.0
_PLOTTED = ("burst", NODES["workers start in 45-120 s"])
Contestant = Callable[[Sequence[Job], tuple[float, ...]], Outcome]


def contestants() -> Mapping[str, Contestant]:
    """Who is compared, by name. Of KEDA's pairs of strategy and metric the first two fit, the others do not."""

    def ours(name: str) -> Contestant:
        policy = ScalingPolicy(name=name, max_workers=MOST)
        return lambda load, starts: simulate(load, policy, Farm(starts))

    def keda(name: str, *, total: bool) -> Contestant:
        strategy = Strategy(name, total, _POLL_SECONDS)
        return lambda load, starts: simulate_scaled_job(load, strategy, starts, MOST)

    return {
        "elastic": ours("elastic"),
        "burst": ours("burst"),
        "KEDA accurate, ready only": keda("accurate", total=False),
        "KEDA default, total": keda("default", total=True),
        "KEDA default, ready only": keda("default", total=False),
        "KEDA accurate, total": keda("accurate", total=True),
        "KEDA eager, total": keda("eager", total=True),
    }


async def measure() -> Section:
    """A row for each load, speed of nodes and contestant: medians over the seeds."""
    rows = [
        _row(f"{shape}, {nodes}: {name}", [contestant(load, starts) for load in loads])
        for (shape, loads), (nodes, starts) in product(_loads().items(), NODES.items())
        for name, contestant in contestants().items()
    ]
    shape, starts = _PLOTTED
    load = _loads()[shape][0]
    plotted = [(name, contestants()[name](load, starts)) for name in ("elastic", "burst", "KEDA accurate, ready only")]
    PICTURE.write_text(svg(plotted, f"{len(load)} jobs in bursts, workers start in 45-120 s"), encoding="utf-8")
    return Section(
        rows,
        f"Each figure is the median of {len(SEEDS)} seeded loads of {HOURS:g} h at {PER_HOUR:g} jobs an hour, with at "
        f"most {MOST} workers. KEDA is a model of its published formulas (`bench/keda.py`): one message a Job, a poll "
        f"every {_POLL_SECONDS:g} s instead of its 30, counts that are never stale. Its Jobs are not used again, ours "
        "are: so compare starts over work within a kind, and waits and hours between kinds.\n\n"
        "![jobs waiting and workers present](scaling/sizing.svg)",
    )


def _loads() -> dict[str, list[tuple[Job, ...]]]:
    return {
        name: [generate(Shape(name, HOURS * 3600, PER_HOUR, JOB_SECONDS, seed)) for seed in SEEDS] for name in SHAPES
    }


def _row(what: str, outcomes: Sequence[Outcome]) -> Row:
    drains = [outcome.drain_over_ideal for outcome in outcomes]
    starts = [outcome.started_per_used for outcome in outcomes]
    p50, p95 = (median([outcome.wait(share) for outcome in outcomes]) for share in (0.5, 0.95))
    hours = median([outcome.worker_seconds / 3600 for outcome in outcomes])
    figure = (
        f"{median(starts):.2f} started over used, drain {median(drains):.3f} of the ideal, "
        f"wait p50 {p50:.0f} s, p95 {p95:.0f} s, {hours:.1f} worker hours"
    )
    spread = f"{min(starts):.2f} to {max(starts):.2f}; drain {min(drains):.3f} to {max(drains):.3f}"
    return Row(what, figure, spread, "<= 1.02, drain <= 1.05" if what.endswith(": elastic") else "")
