"""The writing side: what one transaction may read and change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from buildyard.clock import Clock
from buildyard.contracts.builds import JobState, Outcome, ReasonCode, RowResult
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.messages import Ticket
from orchestrator.domain.records import Agent, Build, DeadLetter, EventDraft, Job, Step
from orchestrator.domain.retention import Kept, SourceUse
from orchestrator.store import codec
from orchestrator.store import schema as t
from orchestrator.store.attempts import Attempts
from orchestrator.store.line import Line
from orchestrator.store.queries import Queries

CLAIM_SECONDS = 30
"""A ticket that a producer took from the outbox and did not publish in this time is anybody's."""


@dataclass(frozen=True)
class Saved:
    """What came of a step: the build with its new numbers, its events, and tickets to publish after the commit."""

    build: Build
    events: tuple[BuildEvent, ...]
    tickets: tuple[Ticket, ...]


class Transaction(Attempts):
    """One transaction. `now` is the store's own clock, read once."""

    def __init__(self, connection: AsyncConnection, clock: Clock) -> None:
        super().__init__(connection, clock)
        self._line = Line(connection.dialect.name)

    @property
    def queries(self) -> Queries:
        """What may be asked of the store, within this transaction."""
        return Queries(self._db, self._clock)

    # ------------------------------------------------------------------ reading what a decision needs

    async def build_if_kept(self, build_id: str) -> Build | None:
        """A build as it stands, not held; None when it is gone, or going."""
        row = (await self._db.execute(select(t.builds).where(t.builds.c.id == build_id))).mappings().first()
        build = codec.build_from(row) if row else None
        return None if build is None or build.kept is Kept.NOTHING else build

    async def dead_letter(self, build_id: str) -> DeadLetter | None:
        """The dead letter that a build became."""
        which = t.dead_letters.c.build_id == build_id
        row = (await self._db.execute(select(t.dead_letters).where(which))).mappings().first()
        return codec.dead_letter_from(row) if row else None

    async def done_rows(self, build_id: str, first: int, count: int) -> tuple[int, ...]:
        """Which rows of a span have a result already."""
        where = and_(t.rows.c.build_id == build_id, t.rows.c.row >= first, t.rows.c.row < first + count)
        return tuple((await self._db.execute(select(t.rows.c.row).where(where).order_by(t.rows.c.row))).scalars())

    async def agent(self, name: str) -> Agent | None:
        """An agent by name."""
        row = (await self._db.execute(select(t.agents).where(t.agents.c.name == name))).mappings().first()
        return codec.agent_from(row) if row else None

    # ------------------------------------------------------------------ writing what it decided

    async def create(self, step: Step) -> Saved:
        """A new build with all that comes with it."""
        [saved] = await self.create_all([step])
        return saved

    async def create_all(self, steps: Sequence[Step]) -> list[Saved]:
        """New builds with all that comes with them: as many statements for all as for one."""
        numbered = [await self._numbered(step.build, step.events) for step in steps]
        await self._db.execute(insert(t.builds), _one_or_many([codec.build_values(build) for build, _ in numbered]))
        jobs = [codec.job_values(job) for step in steps for job in step.new_jobs]
        if jobs:
            await self._db.execute(insert(t.jobs), _one_or_many(jobs))
        await self._add_events([event for _, events in numbered for event in events])
        tickets = iter(await self._issue([step.build.pool for step in steps for _ in range(step.tickets)]))
        return [
            Saved(build, events, tuple(islice(tickets, step.tickets)))
            for step, (build, events) in zip(steps, numbered, strict=True)
        ]

    async def save(self, step: Step) -> Saved:
        """All that a step changes."""
        build, now = step.build, await self.now()
        if step.attempt is not None:
            await self._save_attempt(step.attempt)
        if step.job is not None:
            await self._save_job(step.job)
        if step.job is not None and step.needs is not None:
            of_job = t.jobs.c.id == step.job.id
            await self._db.execute(update(t.jobs).where(of_job).values(needs=step.needs))
        if step.job is not None and step.missing_rows_error:
            build = await self._fail_missing_rows(build, step.job, step.missing_rows_error)
        if step.new_jobs:
            await self._db.execute(insert(t.jobs), [codec.job_values(job) for job in step.new_jobs])
        of_build = t.jobs.c.build_id == build.id
        if step.release is not None:
            kind = and_(of_build, t.jobs.c.kind == step.release.value, t.jobs.c.state == JobState.WAITING.value)
            await self._db.execute(update(t.jobs).where(kind).values(state=JobState.READY.value, ready_at=now))
        if step.close_jobs is not None:
            idle = and_(of_build, t.jobs.c.state.in_([JobState.WAITING.value, JobState.READY.value]))
            await self._db.execute(update(t.jobs).where(idle).values(state=step.close_jobs.value))
        if step.fence:
            await self._fence(build.id, step.fence, now)
        build, events = await self._numbered(build, step.events)
        await self._save_build(build)
        await self._add_events(events)
        if step.dead is not None:
            await self._save_dead(step.dead)
        return Saved(build, events, await self.add_tickets(build.pool, step.tickets))

    async def end_waits(self, job_ids: Sequence[str]) -> tuple[Ticket, ...]:
        """Make jobs that wait after a failed attempt ready, each with its ticket; those that no longer wait stay."""
        waits = and_(
            t.jobs.c.id.in_(job_ids), t.jobs.c.state == JobState.WAITING.value, t.jobs.c.not_before.is_not(None)
        )
        ready = {"state": JobState.READY.value, "ready_at": await self.now(), "not_before": None}
        # whoever holds some of them holds their builds too: these are left for the next time, not waited for
        free = (await self._db.execute(select(t.jobs.c.id).where(waits).with_for_update(skip_locked=True))).scalars()
        due = t.jobs.c.id.in_(list(free))
        pools = (await self._db.execute(update(t.jobs).where(due).values(ready).returning(t.jobs.c.pool))).scalars()
        tickets: tuple[Ticket, ...] = ()
        for pool, count in sorted(Counter(pools).items()):
            tickets += await self.add_tickets(pool, count)
        return tickets

    async def add_tickets(self, pool: str, count: int) -> tuple[Ticket, ...]:
        """Tickets in the outbox, already taken by this producer, which publishes them after the commit."""
        return await self._issue([pool] * count)

    async def take_tickets(self, limit: int, *, everything: bool) -> tuple[Ticket, ...]:
        """Tickets nobody publishes: take up to `limit`. `everything`: also those another run of ours had taken."""
        now = await self.now()
        free = select(t.outbox.c.id).order_by(t.outbox.c.id).limit(limit).with_for_update(skip_locked=True)
        if not everything:
            free = free.where(t.outbox.c.claimed_until < now)
        until = now + timedelta(seconds=CLAIM_SECONDS)
        taking = update(t.outbox).where(t.outbox.c.id.in_(free)).values(claimed_until=until)
        rows = await self._db.execute(taking.returning(t.outbox.c.id, t.outbox.c.pool))
        return tuple(sorted((Ticket(ticket_id=row[0], pool=row[1]) for row in rows), key=lambda one: one.ticket_id))

    async def drop_tickets(self, ticket_ids: Iterable[str]) -> None:
        """They are published and confirmed."""
        await self._db.execute(delete(t.outbox).where(t.outbox.c.id.in_(list(ticket_ids))))

    # ------------------------------------------------------------------ what is kept, and who reads

    async def source_uses(self, upload_ids: Sequence[str]) -> tuple[SourceUse, ...]:
        """The builds of uploads, held: none of them is built again until this transaction ends."""
        of_uploads = t.builds.c.upload_id.in_(upload_ids)
        await self._db.execute(select(t.builds.c.id).where(of_uploads).order_by(t.builds.c.id).with_for_update())
        # Asked again: while the lock was waited for, one of them may have been built again.
        waits = and_(t.dead_letters.c.build_id.is_not(None), t.dead_letters.c.resolution.is_(None))
        query = (
            select(t.builds.c.upload_id, t.builds.c.ended_at, waits)
            .join(t.dead_letters, t.dead_letters.c.build_id == t.builds.c.id, isouter=True)
            .where(of_uploads)
        )
        return tuple(SourceUse(row[0], row[1], bool(row[2])) for row in await self._db.execute(query))

    async def unbuilt_uploads(self, upload_ids: Sequence[str]) -> set[str]:
        """Those uploads that wait for their first build."""
        waiting = and_(t.uploads.c.id.in_(upload_ids), t.uploads.c.used.is_(False))
        return set((await self._db.execute(select(t.uploads.c.id).where(waiting))).scalars())

    async def let_go(self, upload_ids: Sequence[str]) -> None:
        """From now on these uploads cannot be built, and their objects may go."""
        of_uploads = t.builds.c.upload_id.in_(upload_ids)
        await self._db.execute(update(t.builds).where(of_uploads).values(source_gone=True))
        await self._db.execute(delete(t.uploads).where(t.uploads.c.id.in_(upload_ids)))

    async def note_reader(self, name: str, until: datetime) -> None:
        """A producer has recorded all reports that it had taken by then."""
        await self._upsert(t.readers, {"name": name, "read_until": until}, ("name",), {"read_until": until})

    async def drop_readers(self, name: str, before: datetime) -> None:
        """Forget a producer that goes, and those not heard of since a moment."""
        gone = or_(t.readers.c.name == name, t.readers.c.read_until < before)
        await self._db.execute(delete(t.readers).where(gone))

    # ------------------------------------------------------------------ inside

    async def _issue(self, pools: Sequence[str]) -> tuple[Ticket, ...]:
        """A ticket for each of these pools, in their order."""
        if not pools:
            return ()
        until = await self.now() + timedelta(seconds=CLAIM_SECONDS)
        tickets = tuple(Ticket(ticket_id=self._clock.new_id(), pool=pool) for pool in pools)
        rows = [{"id": ticket.ticket_id, "pool": ticket.pool, "claimed_until": until} for ticket in tickets]
        await self._db.execute(insert(t.outbox), _one_or_many(rows))
        return tickets

    async def _save_dead(self, letter: DeadLetter) -> None:
        values = codec.dead_letter_values(letter)
        await self._upsert(t.dead_letters, values, ("build_id",), values)

    async def _fence(self, build_id: str, reason: str, now: datetime) -> None:
        """End all live attempts of a build; their jobs close with them."""
        live = and_(t.attempts.c.build_id == build_id, t.attempts.c.ended_at.is_(None))
        lost = {
            "ended_at": now,
            "outcome": Outcome.CANCELLED.value,
            "reason_code": ReasonCode.CANCELLED.value,
            "reason": reason,
        }
        await self._db.execute(update(t.attempts).where(live).values(lost))
        running = and_(t.jobs.c.build_id == build_id, t.jobs.c.state == JobState.RUNNING.value)
        await self._db.execute(update(t.jobs).where(running).values(state=JobState.CANCELLED.value))

    async def _fail_missing_rows(self, build: Build, job: Job, error: str) -> Build:
        if job.part is None:
            return build
        span = job.part.span
        known = set(await self.done_rows(build.id, span.first, span.count))
        missing = [row for row in range(span.first, span.first + span.count) if row not in known]
        return await self.add_rows(build, [RowResult(row=row, ok=False, error=error) for row in missing])

    async def _numbered(self, build: Build, drafts: Sequence[EventDraft]) -> tuple[Build, tuple[BuildEvent, ...]]:
        """The events with their numbers, and the build that counts them."""
        if not drafts:
            return build, ()
        now = await self.now()
        events = tuple(
            BuildEvent(build_id=build.id, seq=build.event_seq + place, type=draft.type, at=now, data=draft.data)
            for place, draft in enumerate(drafts, start=1)
        )
        return replace(build, event_seq=events[-1].seq), events

    async def _add_events(self, events: Sequence[BuildEvent]) -> None:
        values = [
            {
                "build_id": one.build_id,
                "seq": one.seq,
                "type": one.type,
                "at": one.at,
                "data": json.dumps(one.data, ensure_ascii=False),
            }
            for one in events
        ]
        if values:
            statement, placed = self._line.placed(values)
            await self._db.execute(statement, _one_or_many(placed))


def _one_or_many(values: list[dict[str, Any]]) -> dict[str, Any] | list[dict[str, Any]]:
    """One row goes the short way of a statement that is prepared already."""
    return values[0] if len(values) == 1 else values
