"""Numbers for Prometheus: what this process saw since it began, and what the store and the broker hold now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildyard.clock import Clock
from buildyard.contracts.api import PoolView
from buildyard.contracts.builds import BuildState, Outcome
from buildyard.ports import Depth
from orchestrator.views import StoreCounts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_PROJECTS = 200
"""Projects with a time series of their own; later ones are counted together as `other`."""
_OTHER = "other"
_BUILD_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """What this process counts; one per process, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # untyped; drops a second series for each
        self._registry = CollectorRegistry()
        self._projects: set[str] = set()
        self._builds = Counter("builds", "Builds that ended, by how.", ["status"], registry=self._registry)
        self._durations = Histogram(
            "build_duration_seconds",
            "From the start of a build to its end.",
            ["project"],
            buckets=_BUILD_BUCKETS,
            registry=self._registry,
        )
        self._requests = Histogram(
            "http_request_duration_seconds",
            "From a request's arrival to the end of its answer; streams as long as they ran.",
            ["method", "route", "status"],
            buckets=_HTTP_BUCKETS,
            registry=self._registry,
        )
        self._refused = Counter(
            "refused_reports",
            "Reports of attempts that were over or unknown; they changed nothing.",
            ["report"],
            registry=self._registry,
        )
        self._cut = Counter(
            "cut_leases",
            "Attempts whose worker ended or went silent with the job in hand: lost, or handed_back when it was asked to"
            " end. It should stand still.",
            ["pool", "how"],
            registry=self._registry,
        )
        self._unknown = Counter(
            "unknown_readings",
            "Times that this page asked the broker for a queue's depth and got no answer to be trusted.",
            ["pool"],
            registry=self._registry,
        )
        self._removed = Counter(
            "removed",
            "What was removed because its time was over: builds, outputs (log and artifacts of one), leftovers of one,"
            " orphans (objects), dead_messages and tickets.",
            ["what"],
            registry=self._registry,
        )
        for state in BuildState:
            if state.terminal:
                self._builds.labels(state.value)

    def build_ended(self, status: str, project: str, seconds: float) -> None:
        """A build ended in `status` (either spelling) `seconds` after it began."""
        self._builds.labels(BuildState(status).value).inc()
        if project not in self._projects and len(self._projects) < MAX_PROJECTS:
            self._projects.add(project)
        self._durations.labels(project if project in self._projects else _OTHER).observe(seconds)

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered; `route` is a path with its parameters' names."""
        known = method if method in _METHODS else "OTHER"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def report_refused(self, report: str) -> None:
        """A report of this type was refused: its attempt is over."""
        self._refused.labels(report).inc()

    def lease_cut(self, pool: str, outcome: Outcome) -> None:
        """A worker of this pool did not get to the end of its attempt."""
        self._cut.labels(pool, outcome.value).inc()

    def removed(self, what: str, count: int) -> None:
        """So many of something were removed, since their time was over."""
        self._removed.labels(what).inc(count)

    def reading_unknown(self, pool: str) -> None:
        """The broker did not say how many tickets wait in this pool's queue."""
        self._unknown.labels(pool).inc()

    def page(self, *, healthy: bool, counts: StoreCounts | None, depths: Iterable[tuple[str, Depth]]) -> bytes:
        """All of it as Prometheus reads it. What is not known now is absent, never 0."""
        now = CollectorRegistry()
        now.register(_Now(list(_gauges(healthy, counts, depths))))
        return generate_latest(self._registry) + generate_latest(now)


class _Now(Collector):
    """Gauges that were read a moment ago."""

    def __init__(self, gauges: list[GaugeMetricFamily]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """The gauges."""
        return self._gauges


def _gauges(
    healthy: bool,  # noqa: FBT001 - a value to show, not a switch
    counts: StoreCounts | None,
    depths: Iterable[tuple[str, Depth]],
) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("health_status", "1 when every check of the producer is ok, else 0.", value=int(healthy))
    if counts is not None:
        yield GaugeMetricFamily("active_builds", "Builds that have not ended.", value=counts.active_builds)
        dead = "Dead letters that wait for a person."
        yield GaugeMetricFamily("open_dead_letters", dead, value=counts.open_dead_letters)
        states = GaugeMetricFamily("builds_in_status", "Builds the store holds, by status.", labels=["status"])
        for status, count in sorted(counts.builds_by_status.items()):
            states.add_metric([BuildState(status).value], count)
        yield states
        yield from _pool_gauges(counts.pools)
        if counts.sizes is not None:
            yield GaugeMetricFamily("store_bytes", "Bytes of the database.", value=counts.sizes.total_bytes)
            rows = GaugeMetricFamily("store_table_rows", "Rows of each table, about.", labels=["table"])
            for table, count in sorted(counts.sizes.rows.items()):
                rows.add_metric([table], count)
            yield rows
    depth = GaugeMetricFamily("queue_depth", "Tickets ready in a pool's queue, by the broker.", labels=["pool"])
    for pool, known in depths:
        depth.add_metric([pool], known.ready)
    yield depth


def _pool_gauges(pools: Iterable[PoolView]) -> Iterator[GaugeMetricFamily]:
    ready = GaugeMetricFamily("pool_ready_jobs", "Jobs an agent could take now.", labels=["pool"])
    waiting = GaugeMetricFamily("pool_waiting_jobs", "Jobs that wait for other jobs.", labels=["pool"])
    leases = GaugeMetricFamily("pool_leases", "Jobs in the hands of agents.", labels=["pool"])
    oldest = GaugeMetricFamily("pool_oldest_wait_seconds", "How long the oldest ready job waits.", labels=["pool"])
    agents = GaugeMetricFamily("pool_agents", "Present agents, by state.", labels=["pool", "state"])
    paused = GaugeMetricFamily("pool_paused", "1 while a pool hands out no job, else 0.", labels=["pool"])
    for pool in pools:
        paused.add_metric([pool.name], int(pool.intake.paused))
        ready.add_metric([pool.name], pool.ready)
        waiting.add_metric([pool.name], pool.waiting)
        leases.add_metric([pool.name], pool.leases)
        oldest.add_metric([pool.name], pool.oldest_wait_seconds or 0)
        for state, count in sorted(pool.agents.items()):
            agents.add_metric([pool.name, state.lower()], count)
    yield from (paused, ready, waiting, leases, oldest, agents)


class RequestTimer:
    """Measures every request, by route and not by path: paths hold ids, and ids without end."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Clock) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how long it took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = self._clock.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = self._clock.monotonic() - begun
            self._metrics.request_ended(scope["method"], _route_of(scope), status, seconds)


def _route_of(scope: Scope) -> str:
    route: BaseRoute | None = scope.get("route")
    return str(getattr(route, "path_format", "unmatched"))
