"""Agents and the jobs they take: joining, claiming, draining."""

from __future__ import annotations

from datetime import timedelta

from buildyard.contracts.agents import (
    AgentJoined,
    AgentRegistration,
    AgentView,
    Capabilities,
    ClaimAnswer,
    ClaimRequest,
)
from buildyard.contracts.builds import BuildState, JobSpec, JobState
from buildyard.contracts.messages import DrainAgent
from buildyard.errors import Conflict, InvalidRequest, NotFound
from orchestrator.domain import lifecycle
from orchestrator.domain.access import lacking
from orchestrator.domain.changing import why_paused
from orchestrator.domain.records import Agent, Attempt, Build, Job, Refusal
from orchestrator.domain.showing import show_agent, slot_of
from orchestrator.service.core import Core
from orchestrator.store.transaction import Saved, Transaction

_CLAIM_TRIES = 50
"""Other agents may take the best job first; with so many at once, somebody else is served all the same."""
_LEAST_TIMEOUT = 1.0


class Dispatching(Core):
    """Handing jobs to agents."""

    async def register(self, registration: AgentRegistration) -> AgentJoined:
        """An agent joins its pool.

        Raises:
            InvalidRequest: there is no such pool.
            Conflict: it lacks what the pool declares, or another living process has its name.
        """
        declared = next((pool for pool in self._farm.pools if pool.name == registration.pool), None)
        if declared is None:
            raise InvalidRequest(f"There is no pool {registration.pool!r}.", field="pool")
        await self._check_suited(declared.capabilities, registration)
        async with self._store.begin() as tx:
            now = await tx.now()
            known = await tx.agent(registration.name)
            same = known and (known.pid, known.hostname) == (registration.pid, registration.hostname)
            if known and not same and not known.left and now - known.seen_at < self._silence:
                raise _refusal(
                    "agent_exists",
                    f"Another process runs as agent {registration.name}.",
                    "Start it with another --name.",
                )
            joined = known.joined_at if known and same else now
            await tx.put_agent(
                Agent(
                    name=registration.name,
                    pool=registration.pool,
                    hostname=registration.hostname,
                    pid=registration.pid,
                    version=registration.version,
                    capabilities=registration.capabilities,
                    health=registration.health,
                    joined_at=joined,
                    seen_at=now,
                    draining=bool(known and same and known.draining),
                )
            )
            await tx.note_slot(registration.pool, *slot_of(registration.name))
        return AgentJoined(
            name=registration.name,
            lease_seconds=self._farm.limits.lease_seconds,
            heartbeat_seconds=self._farm.heartbeat_seconds,
        )

    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        """Give an agent that holds a ticket the pool's best ready job; the same claim gets the same answer.

        Raises:
            NotFound: the agent never joined, or left: it joins again.
        """
        saved: Saved | None = None
        async with self._store.begin() as tx:
            known = await tx.agent(agent)
            if known is None or known.left:
                raise NotFound(f"There is no agent {agent}.", remedy="Register first.")
            if known.pool != request.pool:
                raise InvalidRequest(f"Agent {agent} belongs to the pool {known.pool}.", field="pool")
            if (again := await tx.attempt_of_claim(request.claim_id)) is not None:
                return await self._same_answer(tx, again)
            if known.draining:
                return ClaimAnswer(verdict="unsuited", reason="The agent is draining: it takes nothing more.")
            if paused := why_paused(await tx.pool_change(request.pool)):
                return ClaimAnswer(verdict="unsuited", reason=paused)
            taken = await self._take(tx, known, request)
            if taken is None:
                return ClaimAnswer(verdict="none", reason="No job of the pool is ready.")
            saved, job, attempt = taken
            spec = await self._spec(tx, saved.build, job, attempt)
        self._tell(saved)
        return ClaimAnswer(verdict="job", job=spec)

    async def drain(self, agent: str, reason: str) -> AgentView:
        """Ask an agent to finish what it has and leave.

        Raises:
            NotFound: no such agent.
        """
        async with self._store.begin() as tx:
            known = await tx.agent(agent)
            if known is None:
                raise NotFound(f"There is no agent {agent}.", remedy="`GET /api/v1/agents` lists them.")
            await tx.mark_agent(agent, draining=True, left=known.left, reason=reason)
        self._outlets.controls((DrainAgent(agent=agent, reason=reason),))
        async with self._store.read() as queries:
            shown = await queries.agent(agent)
            live = {attempt.agent: attempt for attempt in await queries.live_attempts()}
            return show_agent(shown, live.get(agent), await queries.now(), self._silence)

    # ------------------------------------------------------------------ inside

    async def _check_suited(self, declared: Capabilities, registration: AgentRegistration) -> None:
        """Refuse an agent that lacks something; the refusal is kept, since it may tell why a build finds no agent."""
        missing = lacking(declared, registration.capabilities)
        if not missing:
            return
        async with self._store.begin() as tx:
            await tx.note_refusal(Refusal(registration.pool, registration.name, missing, await tx.now()))
        raise _refusal(
            "agent_unsuited",
            f"Agent {registration.name} may not join the pool {registration.pool}: {missing}.",
            "Install what is missing, or declare the pool's capabilities as they are.",
        )

    async def _take(self, tx: Transaction, agent: Agent, request: ClaimRequest) -> tuple[Saved, Job, Attempt] | None:
        for _ in range(_CLAIM_TRIES):
            best = await tx.best_ready(request.pool)
            if best is None:
                return None
            build, job_id = best
            job = await tx.job(job_id)
            if job is None or job.state is not JobState.READY:
                continue
            step = lifecycle.claim(build, job, agent, request.claim_id, self._farm.limits, await tx.now())
            saved = await tx.save(step)
            if step.job is None or step.attempt is None:
                raise InvalidRequest("A claim must make an attempt.")
            return saved, step.job, step.attempt
        return None

    async def _same_answer(self, tx: Transaction, attempt: Attempt) -> ClaimAnswer:
        build = await tx.lock_build(attempt.build_id)
        job = await tx.job(attempt.job_id)
        if attempt.ended_at is not None or job is None or build.state is not BuildState.RUNNING:
            return ClaimAnswer(verdict="none", reason="The job of this claim is over.")
        return ClaimAnswer(verdict="job", job=await self._spec(tx, build, job, attempt))

    async def _spec(self, tx: Transaction, build: Build, job: Job, attempt: Attempt) -> JobSpec:
        now = await tx.now()
        ends_at = (build.started_at or now) + timedelta(minutes=build.properties.timeout_minutes)
        part = job.part
        if part is not None:
            done = await tx.done_rows(build.id, part.span.first, part.span.count)
            part = part.model_copy(update={"done": done})
        return JobSpec(
            job_id=job.id,
            build_id=build.id,
            attempt=attempt.number,
            kind=job.kind,
            pool=job.pool,
            priority=job.priority,
            source=build.source,
            properties=build.properties,
            strategy=build.strategy_used,
            force_clean=build.force_clean,
            timeout_seconds=max(_LEAST_TIMEOUT, (ends_at - now).total_seconds()),
            lease_seconds=self._farm.limits.lease_seconds,
            output_prefix=output_prefix(attempt),
            rows=part,
        )


def output_prefix(attempt: Attempt) -> str:
    """Where an attempt writes in the object store."""
    return f"builds/{attempt.build_id}/jobs/{attempt.job_id}/{attempt.number}/"


def _refusal(code: str, sentence: str, remedy: str) -> Conflict:
    error = Conflict(sentence, remedy=remedy)
    error.code = code
    return error
