"""`buildyard load`: builds sent at random moments of a given rate, and how long the farm took to take them.

The loop is open: a request leaves at its moment whether or not earlier ones were answered, and its latency counts from
that moment. So a farm that stalls is charged for everybody who came meanwhile (no "coordinated omission").
"""

from __future__ import annotations

import asyncio
import io
import random
import time
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from buildyard.cli.exits import FAILED, OK
from buildyard.cli.output import duration
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import BuildState
from buildyard.errors import BuildyardError, InvalidSettings

KINDS = ("project", "csv")
MOST_REQUESTS = 200_000
_POLL_SECONDS = 0.5
_ASKED_AT_ONCE = 20


@dataclass(frozen=True)
class Wanted:
    """A load: how much of what, for how long."""

    rate: float
    seconds: float
    mix: tuple[tuple[str, float], ...]
    """Kinds with their weights."""
    job_seconds: float
    rows: int
    pool: str
    seed: int
    wait: bool


@dataclass
class Sent:
    """One request: when it was due, how long after that the answer came, and what the answer was."""

    kind: str
    due: float
    late: float = 0
    """Seconds by which it left after its moment: the sender's own fault, and part of the latency."""
    latency: float | None = None
    build_id: str = ""
    refusal: str = ""


@dataclass
class Report:
    """What came of a load."""

    sent: list[Sent] = field(default_factory=list)
    ended: list[BuildStatus] = field(default_factory=list)

    def latencies(self, kind: str | None = None) -> list[float]:
        """Seconds from the moment a request was due to its answer, in ascending order."""
        return sorted(
            one.latency for one in self.sent if one.latency is not None and (kind is None or one.kind == kind)
        )

    def waits(self) -> list[float]:
        """Seconds from the acceptance of builds until they were begun, in ascending order."""
        return sorted((build.start_time - build.created_at).total_seconds() for build in self.ended if build.start_time)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value that a share of the values does not exceed (nearest rank); None without any."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else None


def plan(wanted: Wanted) -> list[Sent]:
    """The requests of a load, in order: a Poisson process, the kinds drawn by their weights; equal seeds, equal loads.

    Raises:
        InvalidSettings: a number is none, or makes too many requests.
    """
    if not (wanted.rate > 0 and wanted.seconds > 0 and wanted.rate * wanted.seconds <= MOST_REQUESTS):
        raise InvalidSettings(f"--rate and --seconds must be above 0, and make {MOST_REQUESTS:,} requests at most.")
    chance = random.Random(wanted.seed)  # noqa: S311 - a load that can be made again, no secret
    kinds, weights = zip(*wanted.mix, strict=True)
    found: list[Sent] = []
    at = chance.expovariate(wanted.rate)
    while at < wanted.seconds:
        found.append(Sent(chance.choices(kinds, weights)[0], at))
        at += chance.expovariate(wanted.rate)
    return found


def mix_of(text: str) -> tuple[tuple[str, float], ...]:
    """Kinds with weights out of `project=3,csv=1` or `csv`. Raises InvalidSettings."""
    found: list[tuple[str, float]] = []
    for part in text.split(","):
        kind, _, weight = part.strip().partition("=")
        try:
            share = float(weight or 1)
        except ValueError:
            share = -1
        if kind not in KINDS or not 0 < share < float("inf"):
            raise InvalidSettings(f"--mix {text!r} is wrong at {part!r}.", remedy=f"Kinds are {', '.join(KINDS)}.")
        found.append((kind, share))
    return tuple(found)


async def load(session: Session, wanted: Wanted, *, as_json: bool) -> int:
    """Send a load and tell what came of it; 1 when a request was refused or, with `wait`, a build did not succeed."""
    requests = plan(wanted)
    bodies = {kind: _body(kind, wanted) for kind in KINDS}
    async with session.producer() as producer:
        await producer.pools()  # a farm that cannot be reached is told before the first request
        report = Report()
        await send(requests, report, lambda one: _submit(producer, one, bodies[one.kind], wanted))
        if wanted.wait:
            report.ended = await _ends(producer, [one.build_id for one in report.sent if one.build_id])
    if as_json:
        session.output.json(_facts(report))
    else:
        _show(session, report)
    bad = any(one.refusal for one in report.sent) or any(one.status != "Succeeded" for one in report.ended)
    return FAILED if bad else OK


async def send(
    requests: Iterable[Sent], report: Report, submit: Callable[[Sent], Awaitable[str]], begin: float | None = None
) -> None:
    """Send each request at its moment, whatever became of the others, and wait for all answers."""
    begin = time.perf_counter() if begin is None else begin
    async with asyncio.TaskGroup() as group:
        for one in requests:
            await asyncio.sleep(max(0.0, begin + one.due - time.perf_counter()))
            report.sent.append(one)
            group.create_task(_sent(one, begin, submit))


async def _sent(one: Sent, begin: float, submit: Callable[[Sent], Awaitable[str]]) -> None:
    one.late = time.perf_counter() - begin - one.due
    try:
        one.build_id = await submit(one)
    except BuildyardError as error:
        one.refusal = str(error)
    one.latency = time.perf_counter() - begin - one.due


async def _submit(producer: ProducerClient, one: Sent, body: tuple[str, bytes], wanted: Wanted) -> str:
    name, content = body

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    fields = {"projectName": f"load-{one.kind}", "targetPool": wanted.pool}
    return (await producer.upload(pieces(), fields, filename=name)).execution_id


async def _ends(producer: ProducerClient, builds: Sequence[str]) -> list[BuildStatus]:
    """Every build once it has ended."""
    slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def end(build_id: str) -> BuildStatus:
        while True:
            async with slots:
                build = await producer.build(build_id)
            if BuildState(build.status).terminal:
                return build
            await asyncio.sleep(_POLL_SECONDS)

    return await asyncio.gather(*(end(build) for build in builds))


def _body(kind: str, wanted: Wanted) -> tuple[str, bytes]:
    """The file that a kind uploads: its name and its bytes."""
    if kind == "csv":
        each = max(0, round(wanted.job_seconds * 1000 / max(1, wanted.rows)))
        return "load.csv", ("work_ms\n" + f"{each}\n" * wanted.rows).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        work = f"sleep {wanted.job_seconds:g}" if wanted.job_seconds else "true"
        archive.writestr("Makefile", f"all:\n\t@{work}\n")
    return "load.zip", out.getvalue()


def _show(session: Session, report: Report) -> None:
    rows = []
    for kind in (*KINDS, None):
        found = [one for one in report.sent if kind in {one.kind, None}]
        if not found:
            continue
        ordered = report.latencies(kind)
        cells = [duration_ms(percentile(ordered, share)) for share in (0.5, 0.9, 0.99, 1)]
        rows.append((kind or "all", str(len(found)), str(sum(bool(one.build_id) for one in found)), *cells))
    session.output.table(("KIND", "SENT#", "ACCEPTED#", "P50#", "P90#", "P99#", "MAX#"), rows)
    late = max((one.late for one in report.sent), default=0.0)
    session.output.remark(
        f"Latencies count from the moment a request was due; the latest left {late * 1000:.0f} ms after."
    )
    for refusal, count in Counter(one.refusal for one in report.sent if one.refusal).most_common(5):
        session.output.remark(f"{count} refused: {refusal}")
    if report.ended:
        waits = report.waits()
        states = ", ".join(f"{count} {state}" for state, count in Counter(one.status for one in report.ended).items())
        told = " and ".join(
            f"{name} {duration(percentile(waits, share))}" for name, share in (("p50", 0.5), ("p95", 0.95))
        )
        session.output.line(f"Builds: {states}; they waited {told}.")


def duration_ms(seconds: float | None) -> str:
    """Seconds as milliseconds: 0.0123 -> `12.3 ms`; nothing for None."""
    return "" if seconds is None else f"{seconds * 1000:.1f} ms"


def _facts(report: Report) -> dict[str, object]:
    """A report for programs; times in seconds."""
    kinds: dict[str, object] = {}
    for kind in (*KINDS, None):
        ordered = report.latencies(kind)
        found = [one for one in report.sent if kind in {one.kind, None}]
        kinds[kind or "all"] = {
            "sent": len(found),
            "accepted": sum(bool(one.build_id) for one in found),
            **{name: percentile(ordered, share) for name, share in _SHARES},
        }
    waits = report.waits()
    return {
        "kinds": kinds,
        "latest": max((one.late for one in report.sent), default=0.0),
        "refusals": dict(Counter(one.refusal for one in report.sent if one.refusal)),
        "builds": dict(Counter(one.status for one in report.ended)),
        "waits": {name: percentile(waits, share) for name, share in _SHARES},
    }


_SHARES = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
