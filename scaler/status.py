"""What the loops know, as answers of the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import buildyard
from buildyard.clock import Clock
from buildyard.contracts.api import CheckView, HealthAnswer, WorkerInfo, WorkerList
from buildyard.errors import NotFound, TemporaryError
from buildyard.ports import Uncounted
from scaler.executors import Executor
from scaler.leading import Alone, Leadership
from scaler.loop import PoolLoop, Sight
from scaler.readings import Answer, Seen, readings_of, witness_readings, worker_state

LATE_SECONDS = 10.0
"""A loop whose last decision is older than this, and than some ticks, hangs."""


class ScalerStatus:
    """The scaler as its API shows it.

    Args:
        loops: one per pool.
        executors: every executor once.
        clock: tells how old the last decisions are.
        leadership: whether this process decides; none: there is no other one.
    """

    def __init__(
        self,
        loops: Sequence[PoolLoop],
        executors: Sequence[Executor],
        clock: Clock,
        leadership: Leadership | None = None,
    ) -> None:
        self._loops = tuple(loops)
        self._executors = tuple(executors)
        self._clock = clock
        self.leadership = leadership or Alone()
        self.stopping = False

    async def workers(self) -> WorkerList:
        """The executors' workers, newest first, with what the producer last said of them.

        Raises:
            TemporaryError: no executor can be asked.
        """
        found, troubles = await self._found()
        registered = {
            agent.name: agent
            for loop in self._loops
            if loop.latest and loop.latest.seen.agents.value
            for agent in loop.latest.seen.agents.value.agents
        }
        workers: list[WorkerInfo] = []
        for info in sorted(found, key=lambda info: info.age_seconds):
            agent = registered.get(info.name)
            detail = info.detail or (agent.reason if agent else "")
            workers.append(info.model_copy(update={"state": worker_state(info, agent).wire, "detail": detail}))
        readings = {
            loop.config.name: {**readings_of(loop.latest.decision.observed), **witness_readings(loop.latest.seen)}
            for loop in self._loops
            if loop.latest
        }
        return WorkerList(workers=tuple(workers), readings=readings, troubles=troubles)

    async def _found(self) -> tuple[list[WorkerInfo], tuple[str, ...]]:
        """Workers of all executors that can be asked, and why the others cannot."""
        found: list[WorkerInfo] = []
        refused: list[TemporaryError] = []
        for answer in await asyncio.gather(*(_listed(executor) for executor in self._executors)):
            if isinstance(answer, TemporaryError):
                refused.append(answer)
            else:
                found += answer
        if refused and len(refused) == len(self._executors):
            raise refused[0]
        return found, tuple(str(error) for error in refused)

    async def executor_of(self, name: str) -> Executor:
        """The executor that knows a worker.

        Raises:
            NotFound: none does.
            TemporaryError: none of those that answer does, and one cannot be asked.
        """
        answers = await asyncio.gather(*(_knows(executor, name) for executor in self._executors))
        for executor, answer in zip(self._executors, answers, strict=True):
            if answer is True:
                return executor
        for answer in answers:
            if isinstance(answer, TemporaryError):
                raise answer
        raise NotFound(f"There is no worker {name} here, or it ended long ago.", remedy="GET /agents lists them.")

    def health(self) -> HealthAnswer:
        """Whether every part answered when the loops last asked, and whether the loops go on.

        One that stands by asks nobody: it is well while another one leads.
        """
        if not self.leadership.leads:
            return self._standing_by()
        sights = {loop.config.name: loop.latest for loop in self._loops}
        seen = {pool: sight for pool, sight in sights.items() if sight is not None}
        checks = (
            _check("producer", {pool: sight.seen.pools for pool, sight in seen.items()}),
            _check_broker({pool: sight.seen for pool, sight in seen.items()}),
            _check("executor", {pool: sight.seen.workers for pool, sight in seen.items()}),
            self._check_loops(seen),
        )
        well = all(check.ok for check in checks)
        if self.stopping:
            return HealthAnswer(status="stopping", version=buildyard.__version__, checks=checks)
        if len(seen) < len(self._loops):
            return HealthAnswer(status="starting", version=buildyard.__version__, checks=checks)
        return HealthAnswer(status="ok" if well else "degraded", version=buildyard.__version__, checks=checks)

    def _standing_by(self) -> HealthAnswer:
        leader = self.leadership.leader()
        told = f"It stands by: {leader} leads." if leader else "It stands by, and who leads is not known."
        return HealthAnswer(
            status="stopping" if self.stopping else "ok" if leader else "degraded",
            version=buildyard.__version__,
            checks=(CheckView(name="leader", ok=bool(leader), detail=told),),
        )

    def _check_loops(self, seen: Mapping[str, Sight]) -> CheckView:
        now = self._clock.monotonic()
        for loop in self._loops:
            sight = seen.get(loop.config.name)
            if sight is None:
                return CheckView(name="loop", ok=False, detail=f"{loop.config.name}: no decision was made yet.")
            age = now - sight.at
            if age > max(LATE_SECONDS, 3 * loop.tick_seconds):
                return CheckView(name="loop", ok=False, detail=f"{loop.config.name}: no decision for {age:.0f} s.")
        return CheckView(name="loop", ok=True, detail="Every pool is decided upon.")


async def _listed(executor: Executor) -> tuple[WorkerInfo, ...] | TemporaryError:
    """An answer or its error as a value: one that cannot be asked must not hold up the others."""
    try:
        return await executor.list()
    except TemporaryError as error:
        return error


async def _knows(executor: Executor, name: str) -> bool | TemporaryError:
    try:
        await executor.describe(name)
    except NotFound:
        return False
    except TemporaryError as error:
        return error
    return True


def _check_broker(seen: Mapping[str, Seen]) -> CheckView:
    """The broker is well when it counts by itself; a further source that is silent is only told."""
    check = _check("broker", {pool: look.depths for pool, look in seen.items()})
    silent = [
        f"{pool}: {depth.source}: {depth.cause}"
        for pool, look in seen.items()
        for depth in look.depths.value or ()
        if isinstance(depth, Uncounted)
    ]
    return check.model_copy(update={"detail": " ".join((check.detail, *silent))}) if check.ok and silent else check


def _check(part: str, answers: Mapping[str, Answer[object]]) -> CheckView:
    """One part is well when it answered for every pool."""
    causes = [f"{pool}: {answer.cause}" for pool, answer in answers.items() if answer.value is None]
    return CheckView(name=part, ok=not causes, detail=" ".join(causes) or "It answers.")
