"""Workers as Kubernetes Jobs: an `Executor` for all pools whose executor is `kubernetes`.

It creates Jobs and looks at them; it deletes nothing that ever ran. The state is the cluster's: a successor or a second
scaler sees the same workers, and comes to the same names, which the API server takes once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import NamedTuple

from buildyard.clock import Clock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_kubernetes import KubernetesPool
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import BuildyardError, InvalidRequest, InvalidSettings, NotFound, TemporaryError
from buildyard.telemetry import logger
from scaler.executors.kubernetes_answers import Refusal, access_reviews, as_settings, error_of
from scaler.executors.kubernetes_connection import MERGE_PATCH, Connection
from scaler.executors.kubernetes_job import FARM, giving_up, pool_of, protection, worker_job
from scaler.executors.kubernetes_logs import pod_log
from scaler.executors.kubernetes_pods import JobSight, PodSight, current, overdue, worker_info
from scaler.executors.kubernetes_view import View

ENDED_LISTED = 100
"""So many of the workers that ended last are listed."""
_CHANGES_AT_ONCE = 10
_CHANGES_A_TICK = 50
_DEFAULT_BUILD_MINUTES = 120.0
_CLAIM_MARGIN_SECONDS = 60.0

_log = logger("kubernetes")


class _Site(NamedTuple):
    """One namespace of one cluster."""

    connection: Connection
    view: View
    namespace: str
    farm: str


class KubernetesExecutor:
    """Starts and lists workers as Jobs; pools of one cluster and namespace share one view of it.

    Args:
        pools: by name; each has the table `kubernetes`.
        environment: the BUILDYARD_* settings of a pool's workers, by pool.
        clock: tells ages.

    Raises:
        InvalidSettings: a kubeconfig is missing or broken, or a pool's deadline leaves no time for a job.
    """

    starts_at_once = _CHANGES_AT_ONCE

    def __init__(
        self, pools: Mapping[str, PoolConfig], environment: Mapping[str, Mapping[str, str]], clock: Clock
    ) -> None:
        self._tables = {name: _table(pool, environment.get(name, {})) for name, pool in pools.items()}
        self._environment = environment
        self._clock = clock
        self._idle: frozenset[str] = frozenset()  # whom a predecessor called idle may be busy by now
        self._reaping = asyncio.Lock()
        connections: dict[tuple[str, str], Connection] = {}
        sites: dict[tuple[str, ...], _Site] = {}
        self._site_of: dict[str, _Site] = {}
        for name, table in self._tables.items():
            cluster = (table.kubeconfig, table.context)
            if cluster not in connections:
                connections[cluster] = Connection(*cluster)
            key = (*cluster, table.namespace, table.farm)
            if key not in sites:
                view = View(connections[cluster], table.namespace, table.farm, clock)
                sites[key] = _Site(connections[cluster], view, table.namespace, table.farm)
            self._site_of[name] = sites[key]
        self._sites = tuple(sites.values())
        self._connections = tuple(connections.values())

    async def list(self) -> tuple[WorkerInfo, ...]:
        """All workers that run, and the last ones that ended. Raises TemporaryError."""
        await self._confirm(self._sites)
        now = self._clock.now()
        return tuple(info for site in self._sites for info in _workers(site.view, now) if info.pool in self._tables)

    async def start(self, name: str) -> None:
        """Create the worker's Job unless there is one of that name.

        Raises:
            InvalidRequest: the name is none of a worker, or of a pool that is not here.
            InvalidSettings, Forbidden: the cluster refuses the pool's Jobs for good.
            TemporaryError: the cluster cannot be asked now, or a quota is used up.
        """
        pool = pool_of(name)
        table = self._tables.get(pool)
        if table is None:
            raise InvalidRequest(f"The worker {name} is of no pool on Kubernetes.")
        site = self._site_of[pool]
        self._open(site)
        if name in site.view.jobs:
            return
        job = worker_job(table, name, self._environment.get(pool, {}), self._clock.now())
        what = f"create the Job {name} in the namespace {site.namespace}"
        try:
            site.view.add_job(await site.connection.call("POST", site.view.jobs_path, body=job))
        except Refusal as refused:
            if refused.status != HTTPStatus.CONFLICT or refused.reason != "AlreadyExists":
                raise error_of(refused, what) from refused
            await self._take_over(site, name)

    async def describe(self, name: str) -> WorkerInfo:
        """One worker, running or ended. Raises NotFound and TemporaryError."""
        site = self._at(name)
        await self._confirm((site,))
        return self._known(site, name)

    async def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[bytes]:
        """What the worker's newest pod wrote; `follow` waits for its begin too. Raises NotFound and TemporaryError."""
        site = self._at(name)
        await self._confirm((site,))
        self._known(site, name)

        def pod_of() -> PodSight | None:
            return current(site.view.pods.get(name, ()))

        if pod_of() is None and name in site.view.jobs and not site.view.jobs[name].finished and not follow:
            return
        while pod_of() is None and follow and name in site.view.jobs and not site.view.jobs[name].finished:
            await site.view.changed(1.0)
        async for piece in pod_log(site.connection, site.view, pod_of, follow=follow, tail=tail):
            yield piece

    async def reap(self) -> None:
        """Take away workers whose pod never ran within its pool's bound; protect busy pods that are not protected."""
        if self._reaping.locked():
            return  # the loop of another pool is at it
        async with self._reaping:
            for site in self._sites:
                if not site.view.ready:
                    continue
                now = self._clock.now()
                open_jobs = [name for name, job in site.view.jobs.items() if not job.finished]
                late = [name for name in open_jobs if self._is_late(site, name, now)]
                await self._at_once([self._give_up(site, name, now) for name in late[:_CHANGES_A_TICK]])
                await self._protect(site)

    async def mark(self, idle: frozenset[str]) -> None:
        """Let the platform move the pods of these workers, and of none of the others."""
        self._idle = idle
        for site in self._sites:
            if site.view.ready:
                await self._protect(site)

    def forget(self) -> None:
        """Whom we called idle may be busy by now: all are protected until they are known to idle again."""
        self._idle = frozenset()

    async def stop(self, seconds: float) -> tuple[str, ...]:
        """Wait for workers to end, at most so long: pods are never deleted, the producer is who asks them to leave.

        Returns the names of those that still run.
        """
        deadline = self._clock.monotonic() + seconds
        while True:
            running = tuple(sorted(info.name for info in await self.list() if info.state == "Running"))
            left = deadline - self._clock.monotonic()
            if not running or left <= 0:
                return running
            await self._sites[0].view.changed(min(left, 0.5))

    async def check(self) -> None:
        """Ask whether all is allowed that will be needed. Raises InvalidSettings and TemporaryError."""
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        for site in self._sites:
            questions = access_reviews(site.namespace)
            try:
                answers = await asyncio.gather(
                    *(site.connection.call("POST", path, body=question) for question in questions.values())
                )
            except Refusal as refused:
                error = error_of(refused, "ask what it may do")
                raise (error if isinstance(error, TemporaryError) else as_settings(error)) from refused
            lacking = [word for word, answer in zip(questions, answers, strict=True) if not answer["status"]["allowed"]]
            if lacking:
                raise InvalidSettings(
                    f"{site.connection.who} may not {', '.join(lacking)} in the namespace {site.namespace}.",
                    remedy="Give it the Role of the scaler (docs/kubernetes-workers.md lists the rules).",
                )

    async def aclose(self) -> None:
        """Let go of the cluster; workers stay."""
        for site in self._sites:
            await site.view.close()
        for connection in self._connections:
            await connection.aclose()

    # ------------------------------------------------------------------------------------------------ looking

    def _open(self, site: _Site) -> None:
        site.view.open(lambda: any(not job.finished and not _ran(site.view, job) for job in site.view.jobs.values()))

    async def _confirm(self, sites: tuple[_Site, ...]) -> None:
        for site in sites:
            self._open(site)
        await asyncio.gather(*(site.view.confirm() for site in sites))

    def _at(self, name: str) -> _Site:
        site = self._site_of.get(pool_of(name))
        if site is None:
            raise NotFound(f"The worker {name} is of no pool on Kubernetes.")
        return site

    def _known(self, site: _Site, name: str) -> WorkerInfo:
        job, pods = site.view.jobs.get(name), site.view.pods.get(name, [])
        if job is None and not pods:
            raise NotFound(f"There is no worker {name} in the namespace {site.namespace}, or it ended long ago.")
        return worker_info(name, job, pods, site.view.warnings, self._clock.now())

    # ------------------------------------------------------------------------------------------------ acting

    async def _take_over(self, site: _Site, name: str) -> None:
        """A Job of this name is there already: by an earlier try, or by another scaler of this farm."""
        try:
            raw = await site.connection.call("GET", f"{site.view.jobs_path}/{name}")
        except Refusal as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return
            raise error_of(refused, f"read the Job {name} in the namespace {site.namespace}") from refused
        if (raw["metadata"].get("labels") or {}).get(FARM) != site.farm:
            raise InvalidSettings(
                f"The namespace {site.namespace} holds a Job {name} that is not of the farm {site.farm}.",
                remedy="Give each farm a namespace of its own, or rename the pool.",
            )
        site.view.add_job(raw)

    def _is_late(self, site: _Site, name: str, now: datetime) -> bool:
        pool = pool_of(name)
        if pool not in self._tables or self._site_of[pool] is not site:
            return False
        job, pods = site.view.jobs[name], site.view.pods.get(name, [])
        return overdue(job, pods, site.view.warnings, self._tables[pool].pending_seconds, now) is not None

    async def _give_up(self, site: _Site, name: str, now: datetime) -> None:
        """End a Job whose pod never ran. A pod goes only if it is still what was seen: one that began stays."""
        job, pods = site.view.jobs[name], site.view.pods.get(name, [])
        waits = overdue(job, pods, site.view.warnings, self._tables[pool_of(name)].pending_seconds, now)
        if waits is None:
            return
        pod = current(pods)
        if pod is not None:
            same = {"preconditions": {"uid": pod.uid, "resourceVersion": pod.version}}
            body = {"apiVersion": "v1", "kind": "DeleteOptions", **same}
            await site.connection.call("DELETE", f"{site.view.pods_path}/{pod.name}", body=body)
        patch = giving_up(waits.code.value, waits.reason, "" if pod else job.version)
        path = f"{site.view.jobs_path}/{name}"
        site.view.add_job(await site.connection.call("PATCH", path, body=patch, content_type=MERGE_PATCH))
        _log.warning("a worker that never ran was given up", worker=name, code=waits.code.value, reason=waits.reason)

    async def _protect(self, site: _Site) -> None:
        """Bring the protection of all pods in line with who is idle; those to be protected come first."""
        wrong = [
            pod
            for name, pods in site.view.pods.items()
            for pod in pods
            if pod.phase == "Running" and not pod.deleting and pod.protected == (name in self._idle)
        ]
        wrong.sort(key=lambda pod: pod.protected)
        await self._at_once([self._set_protection(site, pod) for pod in wrong[:_CHANGES_A_TICK]])

    async def _set_protection(self, site: _Site, pod: PodSight) -> None:
        path = f"{site.view.pods_path}/{pod.name}"
        body = protection(protected=not pod.protected)
        body["metadata"]["uid"] = pod.uid
        await site.connection.call("PATCH", path, body=body, content_type=MERGE_PATCH)

    async def _at_once(self, changes: Sequence[Awaitable[None]]) -> None:
        """Make changes side by side. What fails is told once here and seen again at the next tick."""
        room = asyncio.Semaphore(_CHANGES_AT_ONCE)

        async def make(change: Awaitable[None]) -> None:
            async with room:
                await change

        for error in await asyncio.gather(*(make(change) for change in changes), return_exceptions=True):
            if isinstance(error, Refusal) and error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                continue  # it is gone, or it is not what it was any more: then it is looked at again
            if isinstance(error, BuildyardError):
                _log.warning("a change in the cluster did not work", cause=str(error))
            elif error is not None:
                raise error


def _table(pool: PoolConfig, environment: Mapping[str, str]) -> KubernetesPool:
    """A pool's table, once it is certain that its workers could ever claim a job."""
    table = pool.kubernetes
    if table is None:
        raise InvalidSettings(f"The pool {pool.name} has the executor kubernetes, but no table `kubernetes`.")
    longest = 60 * float(environment.get("BUILDYARD_MAX_BUILD_MINUTES", _DEFAULT_BUILD_MINUTES))
    if table.deadline_seconds <= longest + _CLAIM_MARGIN_SECONDS:
        raise InvalidSettings(
            f"The pool {pool.name} ends its workers after {table.deadline_seconds} s, and a build may take "
            f"{longest:g} s: its workers could never claim a job.",
            remedy="Raise deadline_seconds in its table `kubernetes`, or lower BUILDYARD_MAX_BUILD_MINUTES.",
        )
    return table


def _ran(view: View, job: JobSight) -> bool:
    return any(pod.ran for pod in view.pods.get(job.name, ()))


def _workers(view: View, now: datetime) -> Iterator[WorkerInfo]:
    """All workers that have not ended for certain, and the newest of the others."""
    jobs, pods = view.jobs, view.pods
    ended = [job for job in jobs.values() if job.finished]
    newest = heapq.nlargest(ENDED_LISTED, ended, key=lambda job: job.ended or job.created)
    names = [job.name for job in jobs.values() if not job.finished]
    names += [name for name in pods if name not in jobs]
    for name in (*names, *(job.name for job in newest)):
        yield worker_info(name, jobs.get(name), pods.get(name, []), view.warnings, now)
