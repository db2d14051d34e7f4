"""`bench simulate`: how long a simulated day and a "why" take, and how near a farm comes to what was simulated before.

For each policy a small farm first builds a few things to learn how long workers take to start, what a build costs
beside its work, and what passes between two builds. Then a load is simulated, its outcome is written down
(`docs/scaling/predicted-*.json`, with the time), and only then the same load runs on a farm of real processes.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
import statistics
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.farms import Setting, farm
from bench.figures import Row, Section, percentile, spread
from buildyard.cli.load import Report, Sent, send
from buildyard.client import ProducerClient, ScalerClient
from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import BuildState
from buildyard.contracts.scaling import Decision, ScalingPolicy, WorkerState
from scaler.loads import Shape, generate
from scaler.plots import svg
from scaler.simulate import Farm, Job, Outcome, Sample, ideal_end, simulate

PICTURES = Path(__file__).parents[1] / "docs" / "scaling"
_SEED = 11
_DAY_JOBS_AN_HOUR = 1_000
_WAITING = 10
_WHYS = 60
_COMMON = {"max_workers": 4, "idle_seconds": 5}
POLICIES = (
    ScalingPolicy(name="burst", burst_threshold=10, burst_size=2, max_wait=2, **_COMMON),
    ScalingPolicy(name="elastic", burst_size=2, drain_seconds=15, idle_exit=4, **_COMMON),
)


@dataclass(frozen=True)
class Learned:
    """What a farm of this machine is like, in seconds."""

    starts: tuple[float, ...]
    beside: float
    """What a build takes beside its work."""
    between: float
    """What passes between two builds of one worker."""


async def measure() -> Section:
    """Rows for the simulator's speed, and for each policy how far the live run was from what was predicted."""
    rows = [*_speed(), await _asked_why()]
    for policy in POLICIES:
        load = _load()
        learned = await _learn(policy)
        predicted = simulate(
            [Job(job.arrival, job.duration + learned.beside) for job in load],
            policy,
            Farm(learned.starts, handover_seconds=learned.between),
        )
        written_at = _write_down(policy, learned, predicted)
        live = await _live(policy, load)
        title = f"{len(load)} builds by {policy.name}: simulated at {written_at}, then run on local processes"
        picture = PICTURES / f"live-{policy.name}.svg"
        picture.write_text(svg([("simulated", predicted), ("live", live)], title), encoding="utf-8")
        rows += _compared(policy, predicted, live)
    return Section(
        rows,
        "Each prediction was written to `docs/scaling/predicted-*.json` before its run began.\n\n"
        "![burst: simulated and live](scaling/live-burst.svg)\n\n"
        "![elastic: simulated and live](scaling/live-elastic.svg)",
    )


def _speed() -> list[Row]:
    load = generate(Shape("day", 86_400, _DAY_JOBS_AN_HOUR, 90, _SEED))
    rows = []
    for name in ("burst", "elastic"):
        took = []
        for _ in range(3):
            began = time.perf_counter()
            simulate(load, ScalingPolicy.model_validate({"name": name}), Farm((20.0, 40.0, 60.0)))
            took.append(time.perf_counter() - began)
        figure, spread = f"{statistics.median(took):.2f} s", f"{min(took):.2f} to {max(took):.2f} s in 3 runs"
        rows.append(Row(f"simulating 24 h, {len(load)} jobs, {name}", figure, spread, "<= 5 s"))
    return rows


def _load() -> tuple[Job, ...]:
    """Twenty-four builds at once, then one every few seconds; each takes some seconds."""
    draw = random.Random(_SEED)
    arrivals = [draw.uniform(0, 1) for _ in range(24)] + [10 + 4 * number for number in range(8)]
    return tuple(sorted(Job(at, round(3 * draw.lognormvariate(0, 0.4), 2)) for at in arrivals))


def _write_down(policy: ScalingPolicy, learned: Learned, predicted: Outcome) -> str:
    at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    told = {"at": at, "policy": policy.model_dump(), "learned": vars(learned), "predicted": _figures(predicted)}
    text = json.dumps(told, indent=1)
    (PICTURES / f"predicted-{policy.name}.json").write_text(text + "\n", encoding="utf-8")
    sys.stderr.write(f"predicted before the run: {json.dumps(_figures(predicted))}\n")
    return at


def _figures(outcome: Outcome) -> dict[str, float]:
    """What is compared; seconds, and numbers of workers."""
    return {
        "until the last build ended": round(outcome.end - outcome.begin, 2),
        "wait p50": round(outcome.wait(0.5), 2),
        "wait p95": round(outcome.wait(0.95), 2),
        "workers at the peak": outcome.peak,
    }


def _compared(policy: ScalingPolicy, predicted: Outcome, live: Outcome) -> list[Row]:
    ran, rows = _figures(live), []
    for what, expected in _figures(predicted).items():
        off = (ran[what] - expected) / expected * 100 if expected else 0.0
        unit = "" if what.startswith("workers") else " s"
        figure = f"{ran[what]:g}{unit}, predicted {expected:g}{unit}: {off:+.1f} %"
        rows.append(Row(f"{policy.name}, {what}", figure, "1 run", "within 10 %"))
    return rows


# ------------------------------------------------------------------------------------------------ live


async def _learn(policy: ScalingPolicy) -> Learned:
    """Let a farm build a few things of half a second, and look at the clock."""
    jobs = [Job(0.0, 0.5)] * 12
    builds, agents, decisions = await _run(policy, jobs)
    begun = {name: one.at for one in decisions for name in one.plan.start}
    starts = [(agent.joined_at - begun[agent.name]).total_seconds() for agent in agents if agent.name in begun]
    beside = [build.duration - 0.5 for build in builds if build.duration is not None]
    by_agent: dict[str, list[BuildStatus]] = {}
    for build in sorted(builds, key=lambda one: one.start_time or one.created_at):
        by_agent.setdefault(build.agent.name if build.agent else "", []).append(build)
    between = [
        (later.start_time - earlier.end_time).total_seconds()
        for row in by_agent.values()
        for earlier, later in itertools.pairwise(row)
        if later.start_time and earlier.end_time
    ]
    return Learned(
        tuple(round(one, 3) for one in starts), round(statistics.mean(beside), 3), round(statistics.median(between), 3)
    )


async def _live(policy: ScalingPolicy, load: Sequence[Job]) -> Outcome:
    builds, _, decisions = await _run(policy, load)
    begin = min(build.created_at for build in builds)
    waits = [(build.start_time - build.created_at).total_seconds() for build in builds if build.start_time]
    ends = [(build.end_time - begin).total_seconds() for build in builds if build.end_time]
    samples = [Sample(0.0, 0, 0, 0)]
    for one in decisions:
        at, present = (
            (one.at - begin).total_seconds(),
            [worker for worker in one.observed.workers or () if worker.state is not WorkerState.EXITED],
        )
        busy = sum(worker.state is WorkerState.BUSY for worker in present)
        if at > samples[-1].at:
            samples.append(Sample(at, one.observed.ready.value or 0, len(present) + len(one.plan.start), busy))
    started = {name for one in decisions for name in one.plan.start}
    return Outcome(
        policy=policy,
        waits=tuple(waits),
        unserved=len(load) - len(waits),
        started=len(started),
        used=len({build.agent.name for build in builds if build.agent}),
        peak=max(sample.present for sample in samples),
        busy_seconds=sum(build.duration or 0 for build in builds),
        idle_seconds=0,
        worker_seconds=0,
        end=max(ends),
        ideal_end=ideal_end(load, policy.max_workers),
        begin=0,
        samples=tuple(sample for sample in samples if sample.at <= max(ends) + policy.idle_seconds + 5),
    )


async def _run(
    policy: ScalingPolicy, load: Sequence[Job]
) -> tuple[list[BuildStatus], tuple[AgentView, ...], list[Decision]]:
    """Send a load to a farm of its own; its builds once they ended, its agents, and its decisions, oldest first."""
    values = policy.model_dump()
    text = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
    bodies = {job.duration: _project(job.duration) for job in load}
    requests = [Sent(str(number), job.arrival) for number, job in enumerate(load)]
    async with farm(Setting("embedded", {}), text) as running, ProducerClient(running.api_url) as producer:

        async def submit(one: Sent) -> str:
            async def pieces() -> AsyncIterator[bytes]:
                yield bodies[load[int(one.kind)].duration]

            return (await producer.upload(pieces(), {}, filename="project.zip")).execution_id

        report = Report()
        await send(requests, report, submit)
        if refused := [one.refusal for one in report.sent if one.refusal]:
            raise SystemExit(f"A build was refused: {refused[0]}")
        builds = [await _end(producer, one.build_id) for one in report.sent]
        agents = (await producer.agents()).agents
        async with ScalerClient(running.scaler_url) as scaler:
            decisions = (await scaler.decisions(3_600)).decisions
    return builds, agents, list(reversed(decisions))


async def _asked_why() -> Row:
    """How long the scaler thinks about `/why`, of pools and of a build that waits, while a farm works."""
    waits = []
    async with farm(Setting("embedded", {}), "max_workers = 1") as running, ProducerClient(running.api_url) as producer:

        async def pieces() -> AsyncIterator[bytes]:
            yield _project(2)

        accepted = [await producer.upload(pieces(), {}, filename="project.zip") for _ in range(_WAITING)]
        async with ScalerClient(running.scaler_url) as scaler:
            await scaler.why(build=accepted[-1].execution_id)
            for number in range(_WHYS):
                began = time.perf_counter()
                await scaler.why(build=accepted[-1].execution_id if number % 2 else None)
                waits.append((time.perf_counter() - began) * 1000)
    figure = f"p50 {percentile(waits, 0.5):.0f} ms, p95 {percentile(waits, 0.95):.0f} ms"
    what = f"`/why` of pools and of a build behind {_WAITING - 1} others, over HTTP"
    return Row(what, figure, spread(waits, "ms"), "<= 100 ms")


async def _end(producer: ProducerClient, build_id: str) -> BuildStatus:
    while True:
        build = await producer.build(build_id)
        if BuildState(build.status).terminal:
            return build
        await asyncio.sleep(0.2)


def _project(seconds: float) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Makefile", f"all:\n\t@sleep {seconds:g}\n")
    return out.getvalue()
