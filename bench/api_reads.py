"""The reading half of `bench api`: 10,000 queued builds and 1,000,000 that ended, asked one request at a time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from bench.farms import Setting, own_database, settings
from bench.figures import Row, percentile
from bench.history import History, write_history
from bench.load import Shape, ask
from bench.serving import Served, producer_settings, serving
from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentHealth, AgentRegistration, Capabilities

ENDED = 1_000_000
QUEUED = 10_000
ROUNDS = 3
COUNT = 100
QUIET_SECONDS = 15.0
AIM = "p95 < 50 ms"
_AGENT = "linux-1-1"
_CLAIM = '{"claimId": "{n}", "pool": "linux"}'


@dataclass
class Question:
    """What is asked, by name."""

    name: str
    shape: Shape


async def measure_reads(ended: int = ENDED, queued: int = QUEUED, rounds: int = ROUNDS) -> list[Row]:
    """Rows for each setting."""
    return [row for setting in settings() for row in await _measure(setting, ended, queued, rounds)]


async def _measure(setting: Setting, ended: int, queued: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as name:
        async with own_database(setting.env) as places:
            # The agent of the bench takes jobs and does nothing with them.
            env = producer_settings(Path(name) / "data", places, BUILDYARD_LEASE_SECONDS="3600")
            url = env.setdefault("BUILDYARD_STORE_URL", f"sqlite+aiosqlite:///{Path(name) / 'data' / 'store.sqlite'}")
            sys.stderr.write(f"writing {ended} builds, {setting.name}\n")
            history = await write_history(url, ended, queued)
            async with serving("orchestrator", env=env) as served:
                return await _asked(served, setting, history, f"{queued} queued, {ended} ended", rounds)


async def _asked(served: Served, setting: Setting, history: History, past: str, rounds: int) -> list[Row]:
    await ask(served.url, _joining())
    questions = _questions(history)
    found: dict[str, list[list[float]]] = {one.name: [] for one in questions}
    for one in questions:
        await ask(served.url, replace(one.shape, count=1))
    for _ in range(rounds):
        for one in questions:
            outcome = await ask(served.url, one.shape)
            one.shape = replace(one.shape, ids=one.shape.ids[COUNT:] + one.shape.ids[:COUNT])
            if not {"200", "202"} & outcome.statuses.keys() or len(outcome.statuses) != 1:
                raise SystemExit(f"{one.name}: {outcome.statuses}")
            found[one.name].append(list(outcome.milliseconds))
    before = served.cpu_seconds()
    await asyncio.sleep(QUIET_SECONDS)
    quiet = (served.cpu_seconds() - before) / QUIET_SECONDS * 100
    rows = [_row(f"{name}, {setting.name}, {past}", runs) for name, runs in found.items()]
    rows.append(Row(f"producer that nobody asks, {setting.name}, {past}", f"{quiet:.1f} % of a core", "one reading"))
    return rows


def _row(name: str, runs: list[list[float]]) -> Row:
    every = [value for run in runs for value in run]
    high = [percentile(run, 0.95) for run in runs]
    figure = f"p50 {percentile(every, 0.5):.1f} ms, p95 {percentile(every, 0.95):.1f} ms"
    return Row(name, figure, f"p95 {min(high):.1f} to {max(high):.1f} ms in {len(runs)} runs of {len(runs[0])}", AIM)


def _questions(history: History) -> list[Question]:
    ended, queued = history.ended, history.queued
    base = "/api/v1/builds"
    paths = {
        "list, first page": (base, ()),
        "list, a page in the middle": (f"{base}?limit=200&cursor={{n}}", ended),
        "list of what failed": (f"{base}?status=Failed", ()),
        "list of a project": (f"{base}?project=project-7", ()),
        "list of a project that has no builds": (f"{base}?project=nothing", ()),
        "list of what failed of a project": (f"{base}?status=Failed&project=project-7", ()),
        "list of what is queued in a pool": (f"{base}?status=Queued&pool=linux", ()),
        "status of a queued build, with its position": (f"{base}/{{n}}", queued),
        "status of an ended build": (f"{base}/{{n}}", ended),
        "pools": ("/api/v1/pools", ()),
        "metrics": ("/metrics", ()),
        "health": ("/api/v1/health", ()),
    }
    asked = [Question(name, Shape("GET", path, COUNT, 1, ids=tuple(ids))) for name, (path, ids) in paths.items()]
    body = '{"project_name": "project-7", "git_url": "https://github.com/acme/demo.git"}'
    asked.append(Question("accept a build", Shape("POST", base, COUNT, 1, "application/json", body)))
    claims = tuple(SystemClock().new_id() for _ in range(COUNT * 10))
    claim = Shape("POST", f"/api/v1/agents/{_AGENT}/claim", COUNT, 1, "application/json", _CLAIM, claims)
    asked.append(Question("claim of the next job", claim))
    return asked


def _joining() -> Shape:
    agent = AgentRegistration(
        name=_AGENT,
        pool="linux",
        hostname="host",
        pid=1,
        version="0",
        capabilities=Capabilities(),
        health=AgentHealth(),
    )
    return Shape("POST", "/api/v1/agents", 1, 1, "application/json", agent.model_dump_json(by_alias=True))
