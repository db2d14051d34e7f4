"""From a ticket to its acknowledgement: claim, run, report; the ticket is ours until the report is confirmed."""

from __future__ import annotations

import asyncio
from collections import deque

from buildyard.contracts.agents import AgentState, ClaimAnswer, ClaimRequest
from buildyard.contracts.builds import JobSpec
from buildyard.contracts.messages import TICKET, AttemptOver, CancelJob, JobFinished, read_message
from buildyard.errors import (
    BrokerUnavailable,
    BuildyardError,
    NotFound,
    PermanentError,
    TemporaryError,
    UnreadableMessage,
)
from buildyard.ports import Delivery, Subscription
from buildyard.telemetry import logger
from worker.capabilities import free_disk_bytes
from worker.ending import seconds_to_claim, why_no_more
from worker.job_in_hand import JobInHand, Means
from worker.joining import Identity, Joining
from worker.leaving import Leaving, Urgency
from worker.pipeline import StopCause

_UNSUITED_SECONDS = 5.0
_LONGEST_PAUSE = 5.0
_ATTEMPTS_REMEMBERED = 100
"""Of so many attempts the agent tells when they are refused, also after their end."""


class TicketDesk:
    """Serves tickets one at a time."""

    def __init__(self, identity: Identity, means: Means, joining: Joining, leaving: Leaving) -> None:
        self._identity = identity
        self._means = means
        self._joining = joining
        self._leaving = leaving
        self._log = logger("tickets")
        self._job: JobInHand | None = None
        self._stop_cause: StopCause | None = None
        self._abandoned = asyncio.Event()
        self._idle_since: float | None = None
        self._ours: deque[tuple[str, int]] = deque(maxlen=_ATTEMPTS_REMEMBERED)

    async def serve(self, tickets: Subscription, heartbeat_seconds: float) -> None:
        """Serve tickets until the subscription ends or the agent is to leave."""
        self._idle_since = self._means.clock.monotonic()
        async for ticket in tickets:
            leaves = self._leaving.decided
            self._idle_since = None
            try:
                if leaves:
                    await self._settled(ticket, taken=False)
                else:
                    await self._serve(ticket, heartbeat_seconds)
            except BrokerUnavailable as error:
                # The broker took the ticket back; another agent that gets it is told that its job is done.
                self._log.warning("a ticket could not be settled", error=str(error))
            finally:
                self._idle_since = self._means.clock.monotonic()
            if leaves or self._leaving.decided:
                return

    @property
    def idle_seconds(self) -> float:
        """For how long no ticket has been in hand; 0 while one is."""
        return 0 if self._idle_since is None else self._means.clock.monotonic() - self._idle_since

    def stop(self, cause: StopCause) -> None:
        """Stop the job in hand, and any that is being claimed this moment."""
        self._stop_cause = self._stop_cause or cause
        if self._job is not None:
            self._job.stop(cause)

    def abandon(self) -> None:
        """Wait no longer for a broker that does not confirm: the ticket goes back to it."""
        self._abandoned.set()

    def cancel(self, order: CancelJob) -> None:
        """Stop the job in hand if it is the very attempt that is cancelled."""
        job = self._job
        if job is not None and (job.spec.job_id, job.spec.attempt) == (order.job_id, order.attempt):
            job.stop(StopCause.CANCELLED)

    def give_up(self, order: AttemptOver) -> None:
        """The producer refuses what an attempt reports: if it is one of ours, say so, and stop it if it still runs."""
        told = (order.job_id, order.attempt)
        if told not in self._ours:
            return
        self._log.warning("reports are refused", job=order.job_id, attempt=order.attempt, reason=order.reason)
        job = self._job
        if job is not None and (job.spec.job_id, job.spec.attempt) == told:
            job.stop(StopCause.REFUSED)

    async def _serve(self, ticket: Delivery, heartbeat_seconds: float) -> None:
        try:
            read_message(TICKET, ticket.body)
        except UnreadableMessage as error:
            await ticket.reject(str(error))
            return
        if self._ends_too_soon():
            await self._settled(ticket, taken=False)
            return
        if lack := await asyncio.to_thread(self._lack_of_room):
            await self._settled(ticket, taken=False)
            await self._pause(lack)
            return
        asked_at = self._means.clock.monotonic()
        answer = await self._claim()
        if answer is None:
            await self._settled(ticket, taken=False)
        elif answer.verdict == "unsuited":
            await self._settled(ticket, taken=False)
            await self._pause(answer.reason)
        elif answer.job is None or await self._run(answer.job, heartbeat_seconds, asked_at):
            await self._settled(ticket, taken=True)

    def _ends_too_soon(self) -> bool:
        """Whether this worker's place goes before a job could end; then it leaves."""
        left = seconds_to_claim(self._means.settings, self._means.clock.now())
        if left is None or left > 0:
            return False
        self._leaving.decide(Urgency.DRAIN, why_no_more(self._means.settings))
        return True

    def _lack_of_room(self) -> str:
        """Why there is no room for a job on the disk; empty when there is, or when nobody can tell."""
        settings = self._means.settings
        free = free_disk_bytes(settings.data_dir)
        if free is None or free >= settings.work_disk_bytes:
            return ""
        return f"Its disk has {free:,} bytes left; BUILDYARD_WORK_DISK_BYTES asks for {settings.work_disk_bytes:,}."

    async def _settled(self, ticket: Delivery, *, taken: bool) -> None:
        await (ticket.ack() if taken else ticket.release())

    # ---------------------------------------------------------------- claiming

    async def _claim(self) -> ClaimAnswer | None:
        """The producer's answer; None when the agent is to leave before there is one."""
        request = ClaimRequest(claim_id=self._means.clock.new_id(), pool=self._identity.pool)
        pause = 0.2
        while not self._leaving.decided:
            try:
                return await self._means.producer.claim(self._identity.name, request)
            except NotFound as error:
                self._log.warning("joining again", reason=str(error))
                await self._leaving.unless(self._joining.join())
            except TemporaryError as error:
                self._log.warning("a claim waits for the producer", error=str(error))
                await self._leaving.sleep(max(pause, min(error.retry_after, _LONGEST_PAUSE)))
                pause = min(pause * 2, _LONGEST_PAUSE)
            except PermanentError as error:
                return ClaimAnswer(verdict="unsuited", reason=str(error))
        return None

    async def _pause(self, reason: str) -> None:
        """An unsuited agent waits a while, so that others get the ticket; one that is draining leaves."""
        self._log.warning("this agent gets no job", reason=reason)
        try:
            seen = await self._means.producer.agent(self._identity.name)
        except BuildyardError:
            seen = None
        if seen is not None and seen.state.lower() == AgentState.DRAINING.value:
            self._leaving.decide(Urgency.DRAIN, reason, asked=True)
        await self._leaving.sleep(_UNSUITED_SECONDS)

    # ---------------------------------------------------------------- running

    async def _run(self, spec: JobSpec, heartbeat_seconds: float, asked_at: float) -> bool:
        """Run a job and report its end; whether the broker has confirmed the report."""
        self._log.info("job claimed", job=spec.job_id, attempt=spec.attempt, kind=spec.kind.value)
        job = self._job = JobInHand(self._means, spec, heartbeat_seconds, asked_at)
        self._ours.append((spec.job_id, spec.attempt))
        if self._stop_cause is not None:
            job.stop(self._stop_cause)
        clearing: asyncio.Task[None] | None = None
        try:
            finished = await job.run()
            clearing = asyncio.create_task(job.clear_up())  # meanwhile the broker confirms
            return await self._confirmed(finished)
        finally:
            await (clearing or job.clear_up())
            self._job = None

    async def _confirmed(self, finished: JobFinished) -> bool:
        confirming = asyncio.create_task(self._means.reporter.confirm(finished))
        abandoned = asyncio.create_task(self._abandoned.wait())
        try:
            await asyncio.wait({confirming, abandoned}, return_when=asyncio.FIRST_COMPLETED)
            return confirming.done()
        finally:
            for task in (confirming, abandoned):
                task.cancel()
            await asyncio.gather(confirming, abandoned, return_exceptions=True)
