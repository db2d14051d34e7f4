"""Workers as containers of a Docker engine: one container a worker, named by it, found again by its labels.

The engine is the memory: it refuses a second container of a name (409), keeps the ended ones with their logs and exit
codes, and tells the next scaler of them. Only who made a container starts it, and starts it once; so a name that ended
is never started again. A container that ran is ended by nobody here, and ended ones are removed when there are too
many of them. What is kept here is only what the engine cannot know: names that wait for their image.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from buildyard.clock import Clock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_docker import DockerPool
from buildyard.contracts.scaling import PendingCode, PoolConfig, WorkerState
from buildyard.errors import (
    BuildyardError,
    Conflict,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    PermanentError,
    TemporaryError,
)
from buildyard.telemetry import logger
from scaler.executors.docker_container import (
    FARM_LABEL,
    Facts,
    Listed,
    container_name,
    container_spec,
    facts,
    listed,
    trouble,
    worker_info,
)
from scaler.executors.docker_engine import ACT_SECONDS, Client, Engine, Pull, engine_name

_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})-[1-9]\d{0,8}-[1-9]\d{0,8}")
_PULL_AGAIN_SECONDS = 10.0
_ENDED_LOOK_SECONDS = 0.1
_GIVEN_UP_KEPT = 50

_log = logger("executor")


@dataclass
class _Waiting:
    """A name whose image is not there yet: no container of it ever was."""

    name: str
    pool: str
    since: float
    """On the monotonic clock."""
    reason: str
    given_up: bool = False


@dataclass
class _Place:
    """One engine with the pools that run there, and what was learned of it."""

    engine: Engine
    farm: str
    pools: dict[str, DockerPool] = field(default_factory=dict)
    node: str = ""
    seen: tuple[Listed, ...] = ()
    facts: dict[tuple[str, str], Facts] = field(default_factory=dict)
    """By container and phase: they stay true as long as the phase stays."""


class DockerExecutor:
    """Workers as containers; an `Executor` for pools of one or several engines, which it sees all or not at all.

    Args:
        pools: by pool name; each has a table `docker`.
        environment: by pool name, the settings of its workers and nothing else.
        clock: tells ages.

    Raises:
        InvalidSettings: the certificates of an engine cannot be read.
    """

    def __init__(
        self, pools: Mapping[str, PoolConfig], environment: Mapping[str, Mapping[str, str]], clock: Clock
    ) -> None:
        self._environment = {name: dict(variables) for name, variables in environment.items()}
        self._clock = clock
        self._places: dict[tuple[str, str, str], _Place] = {}
        self._of_pool: dict[str, _Place] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._pulls: dict[tuple[str, str], tuple[Pull, float]] = {}
        for name, config in pools.items():
            if config.docker is None:
                raise InvalidSettings(f"The pool {name} has no table `docker`.")
            key = (config.docker.host, config.docker.certificates, config.docker.farm)
            if key not in self._places:
                self._places[key] = _Place(Engine(config.docker.host, config.docker.certificates), config.docker.farm)
            self._places[key].pools[name] = config.docker
            self._of_pool[name] = self._places[key]

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run or wait, and the last ones that ended. Raises TemporaryError."""
        async with asyncio.TaskGroup() as group:
            looks = [group.create_task(_outcome(self._look(place))) for place in self._places.values()]
        found: list[WorkerInfo] = []
        for look in looks:
            result = look.result()
            if isinstance(result, Exception):
                raise result
            found += result
        there = {info.name for info in found}
        return (*found, *(self._waiting_info(one) for one in self._waiting.values() if one.name not in there))

    async def start(self, name: str) -> None:
        """Start a worker unless its name was used before.

        Where the engine has not got the image, the worker waits for it: `list` says so, `reap` goes on with it.

        Raises:
            InvalidRequest: the name is none of a worker of these pools.
            PermanentError: the engine refuses the pool's settings.
            TemporaryError: it cannot be started now.
        """
        pool, place = self._place(name)
        if name in self._waiting:
            return
        try:
            await self._run(name, pool, place)
        except NotFound as error:
            docker = place.pools[pool]
            self._waiting[name] = _Waiting(name, pool, self._clock.monotonic(), str(error))
            _log.info("a worker waits for its image", worker=name, image=docker.image, cause=str(error))
            self._fetch(place, docker)

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound and TemporaryError."""
        for info in await self.list():
            if info.name == name:
                return info
        raise NotFound(f"There is no worker {name} here, or it ended long ago.")

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker process wrote; nothing while it waits. Raises NotFound and TemporaryError."""
        info = await self.describe(name)
        place = self._of_pool.get(info.pool) or next(iter(self._places.values()))
        if name in self._waiting:
            return
        async with aclosing(place.engine.lines(container_name(place.farm, name), tail, follow=follow)) as pieces:
            async for piece in pieces:
                yield piece

    async def reap(self) -> None:
        """Go on with the workers whose image came, and remove the oldest containers that ended."""
        for waiting in tuple(self._waiting.values()):
            await self._go_on(waiting)
        for place in self._places.values():
            for name, docker in place.pools.items():
                ended = [one for one in place.seen if one.pool == name and _over(one, docker, self._clock)]
                for one in ended[: max(0, len(ended) - docker.kept_containers)]:
                    await self._remove(place, one)

    async def mark(self, idle: frozenset[str]) -> None:
        """An engine moves no container: nothing to tell."""

    def forget(self) -> None:
        """Names that wait for their image here are started by nobody: whoever decides now decides anew."""
        self._waiting.clear()

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """SIGTERM to all workers that run; the names of those that still do after `seconds`."""
        self._waiting.clear()
        await self.list()
        for place in self._places.values():
            for one in place.seen:
                if one.begun and not one.ended:
                    with suppress(NotFound, Conflict):  # it ended meanwhile
                        await place.engine.call(_terminate(one.id))
        deadline = self._clock.monotonic() + seconds
        while running := self._running(await self.list()):
            if self._clock.monotonic() >= deadline:
                break
            await asyncio.sleep(_ENDED_LOOK_SECONDS)
        return running

    async def aclose(self) -> None:
        """Let go of the engines; workers stay."""
        for place in self._places.values():
            await asyncio.to_thread(place.engine.close)

    # ------------------------------------------------------------------------------------------------ looking

    async def _look(self, place: _Place) -> tuple[WorkerInfo, ...]:
        """Ask one engine for its workers; what changed its phase is inspected once."""
        label = f"{FARM_LABEL}={place.farm}"
        rows = await place.engine.call(lambda client: client.containers(all=True, filters={"label": label}))
        seen = listed(rows)
        known: dict[tuple[str, str], Facts] = {}  # of this look alone: another one may be under way
        for one in seen:
            key = (one.id, one.phase)
            fact = place.facts.get(key) if one.begun else None  # of one that waits the trouble may yet come
            if fact is None:
                with suppress(NotFound):  # it was removed a moment ago
                    fact = place.facts[key] = facts(await place.engine.call(_inspect(one.id)))
            if fact is not None:
                known[key] = fact
        if not place.node:
            place.node = engine_name(await place.engine.call(lambda client: client.info()))
        place.seen, place.facts = seen, dict(known)
        now = self._clock.now()
        return tuple(
            worker_info(one, known[one.id, one.phase], now, place.node, self._patience(place, one))
            for one in seen
            if (one.id, one.phase) in known
        )

    def _patience(self, place: _Place, one: Listed) -> float:
        docker = place.pools.get(one.pool)
        return docker.pending_seconds if docker else 0.0

    def _running(self, workers: tuple[WorkerInfo, ...]) -> tuple[str, ...]:
        return tuple(info.name for info in workers if info.state == "Running" and info.pid is not None)

    def _place(self, name: str) -> tuple[str, _Place]:
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"{name!r} is not the name of a worker: <pool>-<slot>-<generation>.")
        place = self._of_pool.get(match[1])
        if place is None:
            raise InvalidRequest(f"{name!r} belongs to no pool of containers.")
        return match[1], place

    # ------------------------------------------------------------------------------------------------ acting

    async def _run(self, name: str, pool: str, place: _Place) -> None:
        """Make the container and start it, in one thread that goes on when nobody waits. NotFound: no image."""
        docker = place.pools[pool]
        spec = container_spec(name, pool, docker, self._environment.get(pool, {}))
        made = container_name(docker.farm, name)

        def run() -> None:
            try:
                found = place.engine.do(lambda client: _make(client, spec, made))
            except Conflict:
                return  # the name is taken: whoever took it starts it
            except NotFound as error:
                if trouble(str(error))[0] is PendingCode.IMAGE_PULL:
                    raise
                raise PermanentError(str(error)) from error
            try:
                place.engine.do(lambda client: client.start(found["Id"]))
            except TemporaryError:
                raise
            except PermanentError as error:
                # NotFound would read as a missing image; and the container stays, to say why it did not begin.
                raise PermanentError(f"{name} could not be started: {error}") from error

        await place.engine.call(lambda _: run(), ACT_SECONDS)

    def _fetch(self, place: _Place, docker: DockerPool) -> Pull | None:
        """The image on its way, begun now where it is time to; None where the engine shall not fetch any."""
        if docker.pull == "never":
            return None
        key = (docker.host, docker.image)
        pull, since = self._pulls.get(key, (None, 0.0))
        now = self._clock.monotonic()
        if pull is None or (pull.over and now - since >= _PULL_AGAIN_SECONDS):
            pull = Pull(place.engine, docker.image)
            self._pulls[key] = (pull, now)
        return pull

    async def _go_on(self, one: _Waiting) -> None:
        """Start a worker whose image came; give one up that has waited for too long."""
        place = self._of_pool[one.pool]
        docker = place.pools[one.pool]
        if one.given_up:
            return
        pull = self._fetch(place, docker)
        if pull is None:
            one.reason = f"The engine has no image {docker.image}, and docker.pull is never: load it there."
        elif pull.over:
            one.reason = pull.trouble or one.reason
        if pull is None or (pull.over and not pull.trouble):
            try:
                await self._run(one.name, one.pool, place)
            except NotFound:
                pass
            except BuildyardError as error:  # it counts as waiting, and its time runs out; the others have their turn
                one.reason = str(error)
            else:
                self._waiting.pop(one.name, None)
                return
        if self._clock.monotonic() - one.since >= docker.pending_seconds:
            one.given_up = True
            over = [name for name, other in self._waiting.items() if other.given_up]
            for name in over[:-_GIVEN_UP_KEPT]:
                del self._waiting[name]

    def _waiting_info(self, one: _Waiting) -> WorkerInfo:
        state = WorkerState.EXITED.wire if one.given_up else "Running"
        return WorkerInfo(
            name=one.name,
            pool=one.pool,
            state=state,
            age_seconds=max(0.0, self._clock.monotonic() - one.since),
            detail=one.reason if one.given_up else "",
            phase="no image",
            pending_code=PendingCode.IMAGE_PULL,
            pending_reason=one.reason,
        )

    async def _remove(self, place: _Place, one: Listed) -> None:
        """Remove a container that ended, with its workspace; the engine refuses to remove one that runs."""
        with suppress(NotFound, Conflict):
            await place.engine.call(lambda client: client.remove_container(one.id, v=True, force=False))
        place.seen = tuple(other for other in place.seen if other.id != one.id)


def _over(one: Listed, docker: DockerPool, clock: Clock) -> bool:
    """Whether a container is over, or will never begin."""
    return one.ended or (not one.begun and clock.now().timestamp() - one.created >= docker.pending_seconds)


def _make(client: Client, spec: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    made: Mapping[str, Any] = client.create_container_from_config(spec, name)  # type: ignore[no-untyped-call]
    return made


def _inspect(container: str) -> Callable[[Client], Mapping[str, object]]:
    return lambda client: client.inspect_container(container)


def _terminate(container: str) -> Callable[[Client], None]:
    return lambda client: client.kill(container, signal="SIGTERM")


async def _outcome(look: Awaitable[tuple[WorkerInfo, ...]]) -> tuple[WorkerInfo, ...] | TemporaryError:
    """An answer or its error as a value: one engine that is away must not cancel the question to the others."""
    try:
        return await look
    except TemporaryError as error:
        return error
    except PermanentError as error:
        return TemporaryError(str(error))
