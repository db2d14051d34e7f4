"""One run: orders and strikes at their seconds, then peace, then everything that can be seen from outside."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from buildyard.broker import open_broker
from buildyard.contracts.api import BuildRequest, BuildStatus
from buildyard.contracts.builds import RowResult
from buildyard.errors import BuildyardError, Conflict, NotFound, TemporaryError, UnknownCount
from buildyard.ports import DEAD, REPORTS, Channel, jobs
from chaos.cluster_look import look_at
from chaos.cluster_site import Site, TwinFarm
from chaos.plan import BURST_ROWS, Order, Schedule, Strike, Work
from chaos.processes import running
from chaos.projects import repository, upload_of
from chaos.strikes import Striker
from chaos.verdict import Entry, Observed, Seen, lacks_lines
from chaos.yard import Servers, Yard, open_yard

PATIENCE_SECONDS = 180.0
"""After the last strike everything accepted has this long to end;"""
PER_ROW_SECONDS = 1.0
"""and for each message so long more, which is more than a row takes on a slow machine."""
_REFUSED = re.compile(rb"\brefused\b")
_LOOK_SECONDS = 0.2
_BURST_SECONDS = 20.0
_LOG_SECONDS = 20.0


@dataclass
class Soak:
    """What a run notes while it goes on."""

    yard: Yard
    observed: Observed = field(default_factory=Observed)


async def soak(folder: Path, plan: Schedule, servers: Servers | None, site: Site | None = None) -> Observed:
    """Run a schedule against a farm of its own in `folder`, and look at everything afterwards."""
    async with open_yard(folder, servers, site) as yard:
        run = Soak(yard)
        striker = Striker(yard)
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for order in plan.orders:
                group.create_task(_at(began + order.at, lambda order=order: _order(run, order)))  # type: ignore[misc] # a bound default
            if plan.in_turn:
                group.create_task(_one_by_one(run, began, plan.strikes, striker))
            for strike in () if plan.in_turn else plan.strikes:
                group.create_task(_at(began + strike.at, lambda strike=strike: striker.strike(strike)))  # type: ignore[misc] # a bound default
        observed = run.observed
        observed.blows = striker.blows
        last = Order(max(order.number for order in plan.asked) + 1, 0.0, Work.QUICK, None)
        patience = PATIENCE_SECONDS + PER_ROW_SECONDS * sum(order.rows for order in plan.asked)
        await _until_all_ended(run, last, patience)
        await _look(yard, observed, (*plan.asked, last))
        if site is not None and isinstance(yard.farm, TwinFarm):
            observed.cluster = await look_at(site, yard.farm, observed.blows)
    # Asked after the farm has stopped: whatever still runs has outlived it.
    observed.orphans = tuple(f"{one.pid} {one.command}" for one in running(folder / "data", yard.farm.api_url))
    observed.ledger = tuple(_entries(folder / "ledger"))
    observed.refused = sum(len(_REFUSED.findall(log.read_bytes())) for log in yard.farm.logs.glob("producer.log*"))
    return observed


async def _at(moment: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
    await act()


async def _one_by_one(run: Soak, began: float, strikes: Sequence[Strike], striker: Striker) -> None:
    """Where one takes longer than was planned, those behind it come later by as much."""
    behind = 0.0
    for strike in strikes:
        await asyncio.sleep(max(0.0, began + behind + strike.at - time.monotonic()))
        if strike.burst is not None:
            await _order(run, strike.burst)
            await _rows_wait(run.yard)
        await striker.strike(strike)
        behind += max(0.0, time.monotonic() - began - behind - strike.at - strike.seconds)


async def _rows_wait(yard: Yard) -> None:
    """Return when a burst's rows are jobs that wait; at most for a while, since workers may be quicker."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_BURST_SECONDS):
            while True:
                with suppress(TemporaryError):
                    if sum(pool.ready for pool in (await yard.client.pools()).pools) >= BURST_ROWS // 2:
                        return
                await asyncio.sleep(_LOOK_SECONDS)


async def _order(run: Soak, order: Order) -> None:
    """Ask for a build, and later for its end; what is not answered was not accepted, as far as anybody knows.

    Poison is so rare that it is asked for again.
    """
    while True:
        try:
            build = await _submit(run.yard, order)
        except TemporaryError:
            run.observed.unanswered += 1
            if order.work is not Work.POISON:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            break
    run.observed.accepted[build] = order
    if order.cancel_after is not None:
        await asyncio.sleep(order.cancel_after)
        await _cancel(run, build)


async def _submit(yard: Yard, order: Order) -> str:
    if order.work is Work.GIT:
        source = await asyncio.to_thread(repository, yard.repositories, order, yard.ledger)
        request = {"project_name": f"order-{order.number}", "git_url": str(source), "branch": "main"}
        return (await yard.client.submit(BuildRequest.model_validate(request))).execution_id
    name, content, fields = upload_of(order, yard.ledger)

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    return (await yard.client.upload(pieces(), fields, filename=name)).execution_id


async def _cancel(run: Soak, build: str) -> None:
    while True:
        # Noted before the answer: a cancel whose answer is lost may have been heard.
        run.observed.cancels.setdefault(build, datetime.now(UTC))
        try:
            await run.yard.client.cancel(build)
        except TemporaryError:
            await asyncio.sleep(0.5)
        except Conflict:
            return
        else:
            return


# ---------------------------------------------------------------- afterwards


async def _until_all_ended(run: Soak, last: Order, patience: float) -> None:
    """Wait until the farm is well and all its builds have ended; who is late is found by the verdict.

    A last build shows that the farm works on. Its worker also takes the tickets that belong to no job, for which
    alone none would be started.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not await _all_ended(run.yard):
                await asyncio.sleep(_LOOK_SECONDS)
            await _order(run, last)
            while not await _all_ended(run.yard):
                await asyncio.sleep(_LOOK_SECONDS)
            while not await _well(run.yard, run.observed):
                await asyncio.sleep(_LOOK_SECONDS)


async def _all_ended(yard: Yard) -> bool:
    try:
        pages = [
            await yard.client.builds(status=state, limit=1) for state in ("Received", "Queued", "Running", "Cancelling")
        ]
    except TemporaryError:
        return False
    return not any(page.builds for page in pages)


async def _well(yard: Yard, observed: Observed) -> bool:
    """Whether health is true and the channels are empty again; says in `observed` what is not."""
    try:
        health = await yard.client.health()
        observed.unhealthy = tuple(f"{one.name}: {one.detail}" for one in health.checks if not one.ok)
        observed.waiting = {channel.name: await _depth(yard, channel) for channel in (REPORTS, jobs("linux"))}
    except (TemporaryError, UnknownCount) as error:
        observed.unhealthy = (str(error),)
    return not observed.unhealthy and not any(observed.waiting.values())


async def _depth(yard: Yard, channel: Channel) -> int:
    broker = open_broker(yard.broker_url)
    await broker.open()
    try:
        return (await broker.depth(channel)).ready
    finally:
        await broker.close()


async def _look(yard: Yard, observed: Observed, asked: Sequence[Order]) -> None:
    orders = {f"order-{order.number}": order for order in asked}
    cursor: str | None = None
    while True:
        page = await yard.client.builds(limit=100, cursor=cursor)
        for one in page.builds:
            status = await yard.client.build(one.execution_id)
            observed.builds[one.execution_id] = await _seen(yard, status, orders.get(one.project_name))
        cursor = page.next_cursor
        if cursor is None:
            break
    observed.dead = frozenset(letter.execution_id for letter in (await yard.client.dead_letters(limit=100)).dead)
    observed.dead_messages = await _depth(yard, DEAD)


async def _seen(yard: Yard, status: BuildStatus, order: Order | None) -> Seen:
    build = status.execution_id
    artifacts = (await yard.client.artifacts(build)).artifacts
    rows: list[RowResult] = []
    while page := (await yard.client.rows(build, after=rows[-1].row if rows else 0)).rows:
        rows += page
    seen = Seen(status, order, artifacts, tuple(rows), await _log(yard, build))
    until = time.monotonic() + _LOG_SECONDS
    while lacks_lines(seen) and time.monotonic() < until:
        await asyncio.sleep(_LOOK_SECONDS)
        seen = replace(seen, log=await _log(yard, build))
    return seen


async def _log(yard: Yard, build: str) -> tuple[str, ...]:
    try:
        async with aclosing(yard.client.logs(build)) as lines:
            return tuple([line async for line in lines])
    except (NotFound, BuildyardError) as error:
        return (f"the log cannot be read: {error}",)


def _entries(ledger: Path) -> list[Entry]:
    entries = []
    for line in ledger.read_text().splitlines():
        order, marker, what = line.split(" ")
        job, _, attempt = marker.partition("/")
        entries.append(Entry(int(order), job, int(attempt), what))
    return entries
