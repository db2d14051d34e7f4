"""Agents and the jobs they take: joining, claiming, draining."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from buildyard.clock import Clock
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
from buildyard.errors import Conflict, InvalidRequest, NotFound, PermanentError
from buildyard.grouping import Grouped
from buildyard.ports import ObjectStore
from orchestrator.domain import lifecycle
from orchestrator.domain.access import lacking
from orchestrator.domain.changing import why_paused
from orchestrator.domain.records import Agent, Attempt, Build, Job, Refusal, Step
from orchestrator.domain.showing import show_agent, slot_of
from orchestrator.domain.suiting import why_not
from orchestrator.feed import Feed
from orchestrator.service.core import Core, Farm, Outlets
from orchestrator.service.suiting import ReadyNeeds
from orchestrator.store import Store
from orchestrator.store.transaction import Saved, Transaction

_CLAIM_TRIES = 50
"""Other agents may take the best job first; with so many at once, somebody else is served all the same."""
_LEAST_TIMEOUT = 1.0
_GROUP_MOST = 16
_WAITING_MOST = 2000
"""Claims that wait for a slow database; with more, the next ones are told to come again."""


@dataclass(frozen=True)
class _Claim:
    """An agent asks for a job."""

    agent: str
    request: ClaimRequest


class Dispatching(Core):
    """Handing jobs to agents."""

    def __init__(
        self, store: Store, objects: ObjectStore, feed: Feed, farm: Farm, clock: Clock, outlets: Outlets
    ) -> None:
        super().__init__(store, objects, feed, farm, clock, outlets)
        self._needs = ReadyNeeds(clock)
        self._claiming = Grouped(self._claim_all, most=_GROUP_MOST, waiting_most=_WAITING_MOST)

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

        Claims that come at the same time share their transactions.

        Raises:
            NotFound: the agent never joined, or left: it joins again.
            InvalidRequest: it belongs to another pool.
            Overloaded: too many claims wait.
        """
        answer = await self._claiming.do(_Claim(agent, request))
        if isinstance(answer, PermanentError):
            raise answer
        return answer

    async def drain(self, agent: str, reason: str) -> AgentView:
        """Ask an agent to finish what it has and leave.

        Raises:
            NotFound: no such agent.
        """
        async with self._store.begin() as tx:
            known = await tx.agent(agent)
            if known is None:
                raise NotFound(f"There is no agent {agent}.", remedy="`GET /api/v1/agents` lists them.")
            await tx.set_draining(agent, draining=True, reason=reason)
        self._outlets.controls((DrainAgent(agent=agent, reason=reason),))
        return await self._shown(agent)

    async def undrain(self, agent: str) -> AgentView:
        """Let a draining agent take work again, where it has not left yet.

        The agent itself asks for this before it leaves, when its job is done: nothing needs to be sent to it.

        Raises:
            NotFound: no such agent.
            Conflict: it has left.
        """
        async with self._store.begin() as tx:
            known = await tx.agent(agent)
            if known is None:
                raise NotFound(f"There is no agent {agent}.", remedy="`GET /api/v1/agents` lists them.")
            if known.left or (known.draining and not await tx.set_draining(agent, draining=False, reason="")):
                raise _refusal(
                    "agent_left", f"Agent {agent} has left.", "Where work waits, the scaler starts another one."
                )
        return await self._shown(agent)

    # ------------------------------------------------------------------ inside

    async def _shown(self, agent: str) -> AgentView:
        async with self._store.read() as queries:
            shown = await queries.agent(agent)
            live = {attempt.agent: attempt for attempt in await queries.live_attempts()}
            return show_agent(shown, live.get(agent), await queries.now(), self._silence)

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

    async def _claim_all(self, claims: Sequence[_Claim]) -> list[ClaimAnswer | PermanentError]:
        """Answer claims in their order. One that is answered keeps its answer, also when a later one fails them all."""
        answers: list[ClaimAnswer | PermanentError] = []
        in_vain = 0
        while len(answers) < len(claims):
            more = await self._claim_of_one_build(claims[len(answers) :])
            in_vain = 0 if more else in_vain + 1
            answers += more
            if in_vain == _CLAIM_TRIES:
                answers.append(ClaimAnswer(verdict="none", reason="Other agents took every job first."))
        return answers

    async def _claim_of_one_build(self, claims: Sequence[_Claim]) -> list[ClaimAnswer | PermanentError]:
        """Answer the first claim, and those after it for as long as they get jobs of the same build.

        A transaction holds one build and waits for no second one: two that did so could wait for each other. So where
        a job was lost to somebody else while its build was waited for, nothing may be answered: ask once more.
        """
        answers: list[ClaimAnswer | PermanentError] = []
        taken: list[Saved] = []
        async with self._store.begin() as tx:
            for claim in claims:
                try:
                    found = await self._claim(tx, claim)
                except PermanentError as refusal:  # of a claim that has changed nothing
                    answers.append(refusal)
                    continue
                if found is None:
                    break
                answer, saved = found
                answers.append(answer)
                taken += [saved] if saved else []
        for saved in taken:
            self._tell(saved)
        return answers

    async def _claim(self, tx: Transaction, claim: _Claim) -> tuple[ClaimAnswer, Saved | None] | None:
        """The answer to a claim; None when it needs a build beside the one that is held."""
        request = claim.request
        known = await tx.claimant(claim.agent, request.pool, request.claim_id)
        if known is None or known.agent.left:
            raise NotFound(f"There is no agent {claim.agent}.", remedy="Register first.")
        if known.agent.pool != request.pool:
            raise InvalidRequest(f"Agent {claim.agent} belongs to the pool {known.agent.pool}.", field="pool")
        if known.again is not None:
            other = tx.held_build not in {None, known.again.build_id}
            return None if other else (await self._same_answer(tx, known.again), None)
        if known.agent.draining:
            return _unsuited("The agent is draining: it takes nothing more."), None
        if paused := why_paused(known.pool_change):
            return _unsuited(paused), None
        needs = await self._needs.of(tx.queries, request.pool, known.agent.capabilities)
        step = await self._best(tx, known.agent, request, needs)
        if (
            step is None
            and tx.held_build is None
            and (next_needs := await tx.queries.any_ready(request.pool)) is not None
        ):
            needs = await self._needs.of(tx.queries, request.pool, known.agent.capabilities, anew=True)
            step = await self._best(tx, known.agent, request, needs)
            if step is None:
                return _unsuited(why_not(next_needs, known.agent)), None
        if step is None or step.job is None or step.attempt is None:
            return None if tx.held_build else (ClaimAnswer(verdict="none", reason="No job of the pool is ready."), None)
        saved = await tx.save(step)
        spec = await self._spec(tx, saved.build, step.job, step.attempt)
        return ClaimAnswer(verdict="job", job=spec), saved

    async def _best(self, tx: Transaction, agent: Agent, request: ClaimRequest, needs: tuple[str, ...]) -> Step | None:
        """An attempt at the best ready job with these needs begins, of the build that is held if one is."""
        for _ in range(_CLAIM_TRIES):
            best = await tx.best_ready(request.pool, needs, of_build=tx.held_build)
            if best is None:
                return None
            build, job = best
            if job.state is JobState.READY:
                return lifecycle.claim(build, job, agent, request.claim_id, self._farm.limits, await tx.now())
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
        if part is not None and _may_have_results(build, attempt):
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


def _may_have_results(build: Build, attempt: Attempt) -> bool:
    """Whether rows may have results before an attempt: of an earlier attempt, or of the build that this one repeats."""
    return attempt.number > 1 or build.retry_of is not None


def _unsuited(reason: str) -> ClaimAnswer:
    return ClaimAnswer(verdict="unsuited", reason=reason)


def output_prefix(attempt: Attempt) -> str:
    """Where an attempt writes in the object store."""
    return f"builds/{attempt.build_id}/jobs/{attempt.job_id}/{attempt.number}/"


def _refusal(code: str, sentence: str, remedy: str) -> Conflict:
    error = Conflict(sentence, remedy=remedy)
    error.code = code
    return error
