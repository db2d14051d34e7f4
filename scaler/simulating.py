"""`buildyard simulate`: a load through several policies, side by side, as table, plot, SVG or JSON."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from buildyard.cli.exits import OK
from buildyard.cli.output import Output
from buildyard.client import ProducerClient, ScalerClient
from buildyard.clock import SystemClock
from buildyard.contracts.api import BuildSummary
from buildyard.contracts.scaling import Decision, ScalingPolicy
from buildyard.errors import InvalidSettings
from buildyard.settings import load_settings
from buildyard.wording import plain
from scaler import plots
from scaler.loads import SHAPES, Shape, generate, of_builds, of_file, start_times
from scaler.simulate import Farm, Job, Outcome, simulate

_PAGE = 500
_HISTORY_PAGES = 200
_DECISIONS = 1_000
_MOST_JOBS = 1_000_000
_MOST_SECONDS = 1e6
_FALLBACK_START_SECONDS = 2.0
"""Where no worker's start was recorded."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--load", default="burst", help=f"{', '.join(SHAPES)}, history, or a .csv file")
    parser.add_argument("--hours", type=float, default=2.0, help="for how long jobs come, or how far history goes back")
    parser.add_argument("--per-hour", type=float, default=120.0, help="jobs an hour, on average")
    parser.add_argument("--job-seconds", type=float, default=60.0, help="how long the median job takes")
    parser.add_argument("--start-seconds", default="", help="how long workers take to start, as 20,40,60")
    parser.add_argument("--seed", type=int, default=1, help="equal seeds give equal loads")
    parser.add_argument("--pool", default="linux", help="the pool whose history is used")
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        help="burst, elastic, or with numbers: burst:burst_size=10,max_workers=50",
    )
    parser.add_argument("--price", type=float, default=0.0, help="what a worker costs an hour")
    parser.add_argument("--svg", type=Path, help="also write a plot to this file")
    parser.add_argument("--json", action="store_true", dest="as_json")


async def compare(given: argparse.Namespace) -> int:
    """Run the load through every policy and show what came of it.

    Raises:
        InvalidSettings: a shape, policy or file is wrong, or there is no history.
    """
    named = [policy_of(text) for text in given.policy or ["burst", "elastic"]]
    load, farm, about = await _load_and_farm(given)
    outcomes = [(name, simulate(load, policy, farm)) for name, policy in named]
    title = f"{len(load)} jobs, {about}; workers start in {_told(farm.start_seconds)} s"
    output = Output()
    if given.svg is not None:
        write_svg(given.svg, plots.svg(outcomes, title))
    if given.as_json:
        output.json({"load": title, "jobs": len(load), "policies": [facts(*one, given.price) for one in outcomes]})
        return OK
    output.line(title)
    headings = ("POLICY", *(f"{heading}#" for heading in _rows(outcomes[0][1], given.price)))
    rows = [(name, *_rows(outcome, given.price).values()) for name, outcome in outcomes]
    output.table(headings, rows, spare=("PEAK#", "USED#"))
    output.line()
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    for line in plots.terminal(outcomes, min(output.out.width, 120), ascii_only=encoding != "utf8"):
        output.line(line)
    return OK


def policy_of(text: str) -> tuple[str, ScalingPolicy]:
    """A policy out of `name` or `name:number=value,…`. Raises InvalidSettings."""
    name, _, numbers = text.partition(":")
    try:
        given: dict[str, Any] = dict(part.split("=", 1) for part in numbers.split(",") if part)
        return text, ScalingPolicy.model_validate({"name": name, **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidSettings(f"The policy {text!r} is wrong: {first['loc'][0]}: {plain(first['msg'])}.") from error
    except ValueError as error:
        raise InvalidSettings(f"The policy {text!r} is wrong: numbers are given as name=value.") from error


def facts(name: str, outcome: Outcome, price: float) -> dict[str, object]:
    """An outcome for programs; times in seconds."""
    return {
        "policy": name,
        "waitP50": outcome.wait(0.5),
        "waitP95": outcome.wait(0.95),
        "waitMax": outcome.wait(1),
        "unserved": outcome.unserved,
        "workersStarted": outcome.started,
        "workersUsed": outcome.used,
        "peakWorkers": outcome.peak,
        "startsPerWorkerUsed": outcome.started_per_used,
        "idleHours": outcome.idle_seconds / 3600,
        "workerHours": outcome.worker_seconds / 3600,
        "drainOverIdeal": outcome.drain_over_ideal,
        "seconds": outcome.end,
        "cost": outcome.worker_seconds / 3600 * price,
    }


def write_svg(path: Path, text: str) -> None:
    """Write a picture, whole or not at all. Raises InvalidSettings."""
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidSettings(f"The plot {path} cannot be written: {error.strerror}.") from error


def _rows(outcome: Outcome, price: float) -> dict[str, str]:
    cells = {
        "WAIT P50": f"{outcome.wait(0.5):.1f} s",
        "WAIT P95": f"{outcome.wait(0.95):.1f} s",
        "UNSERVED": str(outcome.unserved),
        "STARTED": str(outcome.started),
        "USED": str(outcome.used),
        "STARTS/USED": f"{outcome.started_per_used:.2f}",
        "PEAK": str(outcome.peak),
        "IDLE H": f"{outcome.idle_seconds / 3600:.2f}",
        "WORKER H": f"{outcome.worker_seconds / 3600:.2f}",
        "DRAIN/IDEAL": f"{outcome.drain_over_ideal:.2f}",
    }
    return {**cells, "COST": f"{outcome.worker_seconds / 3600 * price:.2f}"} if price else cells


async def _load_and_farm(given: argparse.Namespace) -> tuple[tuple[Job, ...], Farm, str]:
    """The load, how the farm behaves, and both in words."""
    starts = _numbers(given.start_seconds)
    if given.load == "history":
        load, learned = await _history(given.pool, given.hours)
        if not load:
            raise InvalidSettings(f"No build of the pool {given.pool} ended in the last {given.hours:g} h.")
        return (
            load,
            Farm(starts or learned or (_FALLBACK_START_SECONDS,)),
            f"{given.hours:g} h of {given.pool}'s history",
        )
    farm = Farm(starts or (_FALLBACK_START_SECONDS,))
    if given.load not in SHAPES and given.load.endswith(".csv"):
        return of_file(Path(given.load)), farm, given.load
    if not (0 < given.hours * given.per_hour <= _MOST_JOBS and 0 < given.job_seconds <= _MOST_SECONDS):
        raise InvalidSettings(
            f"--hours, --per-hour and --job-seconds must be above 0, and make {_MOST_JOBS:,} jobs at most."
        )
    shape = Shape(given.load, given.hours * 3600, given.per_hour, given.job_seconds, given.seed)
    about = f"{given.load} over {given.hours:g} h, median job {given.job_seconds:g} s, seed {given.seed}"
    return generate(shape), farm, about


async def _history(pool: str, hours: float) -> tuple[tuple[Job, ...], tuple[float, ...]]:
    """What the farm was asked to build, and how long its workers took to start. Raises TemporaryError."""
    settings = load_settings()
    since = SystemClock().now() - timedelta(hours=hours)
    builds: list[BuildSummary] = []
    cursor: str | None = None
    async with ProducerClient(settings.api, settings.token) as producer:
        for _ in range(_HISTORY_PAGES):
            page = await producer.builds(pool=pool, limit=_PAGE, cursor=cursor)
            builds += page.builds
            cursor = page.next_cursor
            if cursor is None or page.builds[-1].created_at < since:
                break
    decisions: tuple[Decision, ...] = ()
    async with ScalerClient(settings.scaler, settings.token) as scaler:
        decisions = (await scaler.decisions(_DECISIONS, pool, changes=True, after=since)).decisions
    return of_builds(builds, since), start_times(decisions[::-1])


def _numbers(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(",") if part)
    except ValueError as error:
        raise InvalidSettings(f"--start-seconds {text!r} are no numbers.") from error
    if any(not 0 <= number < float("inf") for number in numbers):
        raise InvalidSettings("--start-seconds must be 0 or more.")
    return numbers


def _told(starts: Sequence[float]) -> str:
    ordered = sorted(starts)
    return f"{ordered[0]:.3g}" if len(set(ordered)) == 1 else f"{ordered[0]:.3g} to {ordered[-1]:.3g}"
