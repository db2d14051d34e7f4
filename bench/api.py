"""`bench api`: accepting builds beside a bare FastAPI with one insert, and reading from a store with a long past.

Each server and the load client are processes of their own on one machine; what each spends of a processor is counted.
On its own: `python -m bench.api [accept|gate|read]`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.api_reads import measure_reads
from bench.farms import Setting, make_project, own_database, settings
from bench.figures import Row, Section, median, percentile, spread
from bench.load import Outcome, Shape, ask
from bench.serving import Served, producer_settings, serving

ROUNDS = 5
COUNT = 1500
CONNECTIONS = 32
GATE_BUILDS = 500
GATE_ASKED = 4000
_HOST = "https://github.com"
_JSON = json.dumps({"project_name": "demo", "git_url": f"{_HOST}/acme/demo.git", "branch": "main"})
_HEAD = '--b\r\nContent-Disposition: form-data; name="file"; filename="project.zip"\r\n\r\n'
BARE = Shape("POST", "/builds", COUNT, CONNECTIONS, "application/json", _JSON)
BUILDS = replace(BARE, path="/api/v1/builds")
UPLOADS = Shape(
    "POST",
    "/upload",
    COUNT,
    CONNECTIONS,
    "multipart/form-data; boundary=b",
    _HEAD + make_project().decode("latin-1") + "\r\n--b--\r\n",
)
_EXPLAINED = """
All servers of a setting run at the same time and are asked in turn, round by round, by one client process over {n}
kept connections. The bare server is FastAPI with one model, and one insert and commit a request through the same
SQLAlchemy engine, under the same uvicorn and on the same database server (`bench/bare.py`). `cores` is what the server
process itself used of a processor; the database, the broker and the client came on top, on the same cores.

A 202 means in all cases: the build, its job, its events and its ticket are committed (PostgreSQL with its own default
`synchronous_commit=on`; SQLite in WAL mode with `synchronous=FULL`, which syncs at every commit), and of an upload the
file, then its folder, were synced before that commit began. Builds that come at the same time share a transaction and
uploads the sync of their folder; each file is synced on its own.
"""


@dataclass
class _Runs:
    """The rounds of one contestant."""

    served: Served
    shape: Shape
    outcomes: list[Outcome] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)

    async def once(self) -> None:
        before = self.served.cpu_seconds()
        outcome = await ask(self.served.url, self.shape)
        if set(outcome.statuses) != {"202"}:
            raise SystemExit(f"Not all were accepted: {outcome.statuses}")
        self.outcomes.append(outcome)
        self.cores.append((self.served.cpu_seconds() - before) / outcome.seconds)

    @property
    def rates(self) -> list[float]:
        return [len(one.milliseconds) / one.seconds for one in self.outcomes]

    def row(self, name: str, beside: _Runs | None, aim: str = "") -> Row:
        every = [value for one in self.outcomes for value in one.milliseconds]
        ratio = ""
        if beside is not None:
            ratio = f", {median([a / b for a, b in zip(self.rates, beside.rates, strict=True)]):.2f} of bare"
        figure = (
            f"{median(self.rates):.0f}/s{ratio}; p50 {percentile(every, 0.5):.0f} ms, "
            f"p95 {percentile(every, 0.95):.0f} ms; {median(self.cores):.2f} cores"
        )
        return Row(name, figure, spread(self.rates, "/s"), aim)


async def measure() -> Section:
    """Rows of both parts."""
    accepted = await measure_accepting()
    return Section([*accepted.rows, *await measure_gate(), *await measure_reads()], accepted.text)


async def measure_accepting() -> Section:
    """Builds and uploads a second, beside the bare server."""
    rows: list[Row] = []
    client: list[float] = []
    for setting in settings():
        async with _contestants(setting) as (bare, builds, uploads):
            runs = (bare, builds, uploads)
            for one in runs:  # what is imported and prepared on first use is no part of a rate
                await ask(one.served.url, replace(one.shape, count=200))
            for number in range(ROUNDS):
                for place in range(len(runs)):
                    await runs[(number + place) % len(runs)].once()
            client += [one.cpu_seconds / one.seconds for run in runs for one in run.outcomes]
        aim = ">= 500/s, >= 0.5 of bare" if setting.env else ">= 0.5 of bare"
        rows += [
            bare.row(f"bare FastAPI and one insert, {setting.name}", None),
            builds.row(f"POST /api/v1/builds, {setting.name}", bare, aim),
            uploads.row(f"POST /upload of a small archive, {setting.name}", bare, aim),
        ]
    text = _EXPLAINED.format(n=CONNECTIONS) + f"The client used {max(client):.2f} cores at most.\n"
    return Section(rows, text)


async def measure_gate() -> list[Row]:
    """A farm that takes few builds, asked for many: what is taken, and what the others are told."""
    rows: list[Row] = []
    for setting in settings():
        with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as folder:
            async with own_database(setting.env) as places:
                env = producer_settings(Path(folder) / "data", places, BUILDYARD_QUEUE_MAX_BUILDS=str(GATE_BUILDS))
                async with serving("orchestrator", env=env) as served:
                    outcome = await ask(served.url, replace(BUILDS, count=GATE_ASKED))
        taken = outcome.statuses.get("202", 0)
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(outcome.statuses.items()))
        figure = f"{answers}; {outcome.retry_after} of {GATE_ASKED - taken} refusals say when to come again"
        what = f"{GATE_ASKED} builds asked of a farm that takes {GATE_BUILDS}, {setting.name}"
        rows.append(Row(what, figure, f"p95 {percentile(outcome.milliseconds, 0.95):.0f} ms", "all refusals say it"))
    return rows


@asynccontextmanager
async def _contestants(setting: Setting) -> AsyncIterator[tuple[_Runs, _Runs, _Runs]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="buildyard-bench-")))
        bare_env = await stack.enter_async_context(own_database(setting.env))
        url = bare_env.get("BUILDYARD_STORE_URL", f"sqlite+aiosqlite:///{folder / 'bare.sqlite'}")
        bare = await stack.enter_async_context(serving("bench.bare", url, env=dict(os.environ)))
        env = producer_settings(folder / "data", await stack.enter_async_context(own_database(setting.env)))
        ours = await stack.enter_async_context(serving("orchestrator", env=env))
        yield _Runs(bare, BARE), _Runs(ours, BUILDS), _Runs(ours, UPLOADS)


async def _main(names: Sequence[str]) -> None:
    parts: dict[str, Callable[[], Awaitable[Section | list[Row]]]] = {
        "accept": measure_accepting,
        "gate": measure_gate,
        "read": measure_reads,
    }
    for name in names or list(parts):
        found = await parts[name]()
        for row in found.rows if isinstance(found, Section) else found:
            sys.stdout.write(f"{row.what}: {row.figure} ({row.spread}){f', aim {row.aim}' if row.aim else ''}\n")


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1:]))
