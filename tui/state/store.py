"""The store: `apply` an event, get the names of what changed; read rows at any time.

Not safe for threads: the one task that reads the source applies, and widgets of the same event loop read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from buildyard.contracts.api import PoolView
from buildyard.contracts.scaling import Reading
from tui.state import events as e
from tui.state.bounds import Bounds, excess, remember
from tui.state.history import History, Point
from tui.state.merging import job_of_attempt, job_of_event, with_detail, with_event, with_summary
from tui.state.rows import AgentRow, BuildRow, DecisionRow, JobRow, PoolRow, Ref, UseRow
from tui.state.tables import Tables


class Store(Tables):
    """All that is known of a farm: `Tables` says what can be read, `apply` is the one way in."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        super().__init__(bounds or Bounds())
        self._handlers: dict[type, Callable[[Any], None]] = {
            e.SourceSeen: self._source,
            e.PartSeen: self._part_seen,
            e.HealthSeen: self._source_health,
            e.PoolsSeen: self._pools_seen,
            e.AgentsSeen: self._agents_seen,
            e.WorkersSeen: self._workers_seen,
            e.BuildsSeen: self._builds_seen,
            e.BuildSeen: self._build_seen,
            e.BuildGone: self._build_gone,
            e.BuildChanged: self._build_changed,
            e.ArtifactsSeen: self._artifacts_seen,
            e.DiagnosticsSeen: self._diagnostics_seen,
            e.DeadSeen: self._dead_seen,
            e.DecisionsSeen: self._decisions_seen,
            e.LogSeen: self._log_seen,
            e.LogBroke: self._log_broke,
            e.LogEnded: self._log_ended,
        }

    # ---------------------------------------------------------------- the two ways in and out

    def apply(self, event: object) -> frozenset[Ref]:
        """Take in an event; gives what changed, also what went and what changed because something it names did."""
        handler = self._handlers.get(type(event))
        if handler is None:
            self.passed_over += 1
            return frozenset()
        self._changed = set()
        handler(event)
        return frozenset(self._changed)

    # ---------------------------------------------------------------- sources

    def _source(self, event: e.SourceSeen) -> None:
        if not self._is_old(f"source/{event.source}", event.at):
            self._sources[event.source] = event
            self._touch(Ref("source", event.source))

    def _part_seen(self, event: e.PartSeen) -> None:
        if event.cause:
            remember(self._withheld, event.part, event, self._bounds.details)
        else:
            self._withheld.pop(event.part, None)
        self._touch(Ref("source", event.source))

    def _source_health(self, event: e.HealthSeen) -> None:
        if self._is_old(f"health/{event.source}", event.at):
            return
        known, use = self._use.get(event.source), event.use
        if use is not None:
            first = UseRow(event.at, use.cpu_seconds, use.memory_bytes)
            self._use[event.source] = known.then(event.at, use) if known else first
        if self._health.get(event.source) != event.health or use is not None:
            self._health[event.source] = event.health
            self._touch(Ref("source", event.source))

    # ---------------------------------------------------------------- builds and jobs

    def _builds_seen(self, event: e.BuildsSeen) -> None:
        for summary in event.builds:
            build_id = summary.execution_id
            self._put_build(with_summary(self._builds.get(build_id), summary, event.at))
        self._bound_builds()

    def _build_seen(self, event: e.BuildSeen) -> None:
        build = event.build
        known = self._builds.get(build.execution_id)
        row = with_detail(known, build, event.at)
        if row is not known and self._details.get(build.execution_id) != build:
            remember(self._details, build.execution_id, build, self._bounds.details)
            self._touch(Ref("build", row.id))
        self._put_build(row)
        for attempt in build.attempts:
            self._put_job(job_of_attempt(self._jobs.get(attempt.job_id), row.id, attempt))
        self._bound_builds()

    def _build_changed(self, event: e.BuildChanged) -> None:
        told = event.event
        row = with_event(self._builds.get(told.build_id), told)
        if (event.project and not row.project) or (event.pool and not row.pool):
            row = replace(row, project=row.project or event.project, pool=row.pool or event.pool)
        self._put_build(row)
        job = self._jobs.get(told.data["job"]) if isinstance(told.data.get("job"), str) else None
        after = job_of_event(job, told)
        if after is not None:
            self._put_job(after)
        self._bound_builds()

    def _build_gone(self, event: e.BuildGone) -> None:
        if event.build_id in self._builds:
            self._drop_build(event.build_id)

    def _artifacts_seen(self, event: e.ArtifactsSeen) -> None:
        if self._artifacts.get(event.build_id) != event.artifacts:
            remember(self._artifacts, event.build_id, event.artifacts, self._bounds.details)
            self._touch(Ref("build", event.build_id))

    def _diagnostics_seen(self, event: e.DiagnosticsSeen) -> None:
        if self._diagnostics.get(event.build_id) != event.diagnostics:
            remember(self._diagnostics, event.build_id, event.diagnostics, self._bounds.details)
            self._touch(Ref("build", event.build_id))

    def _put_build(self, row: BuildRow) -> None:
        known = self._builds.get(row.id)
        self._builds[row.id] = row
        if row != known:
            self._touch(Ref("build", row.id))

    def _put_job(self, row: JobRow) -> None:
        if row != self._jobs.get(row.id):
            self._jobs[row.id] = row
            self._jobs_of.setdefault(row.build_id, {})[row.id] = None
            self._touch(Ref("job", row.id))

    def _bound_builds(self) -> None:
        """Give up the oldest: ended ones first. Ids are UUIDv7, so they sort by age."""
        if len(self._builds) > self._bounds.builds:
            by_age = sorted(self._builds.values(), key=lambda row: (not row.ended, row.id))
            for row in by_age[: excess(len(by_age), self._bounds.builds)]:
                self._drop_build(row.id)
        if len(self._jobs) > self._bounds.jobs:
            for job in sorted(self._jobs)[: excess(len(self._jobs), self._bounds.jobs)]:
                self._drop_job(job)

    def _drop_build(self, build_id: str) -> None:
        for job in tuple(self._jobs_of.get(build_id, ())):
            self._drop_job(job)
        self._details.pop(build_id, None)
        self._artifacts.pop(build_id, None)
        self._diagnostics.pop(build_id, None)
        del self._builds[build_id]
        self._gone(Ref("build", build_id))

    def _drop_job(self, job_id: str) -> None:
        row = self._jobs.pop(job_id)
        siblings = self._jobs_of[row.build_id]
        del siblings[job_id]
        if not siblings:
            del self._jobs_of[row.build_id]
        self._gone(Ref("job", job_id))

    # ---------------------------------------------------------------- agents

    def _agents_seen(self, event: e.AgentsSeen) -> None:
        if not self._is_old("agents", event.at):
            views = {view.name: view for view in event.agents[: self._bounds.agents]}
            before, self._views = self._views, views
            self._join_agents(name for name in before.keys() | views.keys() if before.get(name) != views.get(name))

    def _workers_seen(self, event: e.WorkersSeen) -> None:
        if self._is_old("workers", event.at):
            return
        workers = {worker.name: worker for worker in event.workers[: self._bounds.agents]}
        before, self._workers = self._workers, workers
        self._join_agents(name for name in before.keys() | workers.keys() if before.get(name) != workers.get(name))
        for pool, readings in event.readings.items():
            self._join_pool(pool, readings=readings)

    def _join_agents(self, names: Iterable[str]) -> None:
        for name in names:
            row = self._joined(name)
            if row is None:
                if self._agents.pop(name, None) is not None:
                    self._gone(Ref("agent", name))
            elif row != self._agents.get(name):
                self._agents[name] = row
                self._touch(Ref("agent", name))

    def _joined(self, name: str) -> AgentRow | None:
        view, worker = self._views.get(name), self._workers.get(name)
        if view is None and worker is None:
            return None
        told = worker.state if worker and (view is None or worker.state == "Unresponsive") else ""
        return AgentRow(
            name=name,
            pool=view.pool if view else worker.pool if worker else "",
            state=told or (view.state if view else ""),
            detail=(view.reason if view else "") or (worker.detail if worker else ""),
            view=view,
            worker=worker,
            started_by=self._started_by.get(name),
        )

    # ---------------------------------------------------------------- pools and decisions

    def _pools_seen(self, event: e.PoolsSeen) -> None:
        if self._is_old("pools", event.at):
            return
        second = int(event.at.timestamp())
        for view in event.pools[: self._bounds.pools]:
            self._join_pool(view.name, view=view)
            queued = view.ready + view.waiting
            self._note(view.name, Point(second, view.ready, view.leases, queued=queued, held=view.leases))
        for name in self._pools.keys() - {view.name for view in event.pools}:
            self._drop_pool(self._pools[name])

    def _drop_pool(self, row: PoolRow) -> None:
        """The producer knows it no more; it stays for as long as the scaler tells of it."""
        if row.decision or row.readings:
            self._pools[row.name] = replace(row, view=None)
            if row.view is not None:
                self._touch(Ref("pool", row.name))
            return
        del self._pools[row.name]
        self._history.pop(row.name, None)
        self._gone(Ref("pool", row.name))

    def _decisions_seen(self, event: e.DecisionsSeen) -> None:
        last = self._decisions[next(reversed(self._decisions))] if self._decisions else None
        if last and any(one.number <= last.number and one.at > last.at for one in event.decisions):
            self._forget_decisions()  # the scaler lost its record and numbers anew
        fresh = [one for one in event.decisions if one.number not in self._decisions]
        newest = next(reversed(self._decisions), 0)
        for decision in sorted(fresh, key=lambda one: one.number):
            row = DecisionRow.of(decision)
            self._decisions[row.number] = row
            self._touch(Ref("decision", str(row.number)))
            for name in row.start:
                self._started_by[name] = max(row.number, self._started_by.get(name, 0))
            self._join_agents(row.start)
            known = self._pools.get(row.pool)
            if known is None or known.decision is None or known.decision.number < row.number:
                self._join_pool(row.pool, decision=row)
            self._note(
                row.pool,
                Point(int(row.at.timestamp()), row.ready, row.leases, row.unacked, row.workers, row.wanted),
            )
        if fresh and min(one.number for one in fresh) < newest:
            for number in sorted(self._decisions):
                self._decisions.move_to_end(number)
        self._bound_decisions()

    def _forget_decisions(self) -> None:
        for number in tuple(self._decisions):
            del self._decisions[number]
            self._gone(Ref("decision", str(number)))
        self._started_by.clear()
        for row in tuple(self._pools.values()):
            self._pools[row.name] = replace(row, decision=None)

    def _bound_decisions(self) -> None:
        while len(self._decisions) > self._bounds.decisions:
            number, _ = self._decisions.popitem(last=False)
            self._gone(Ref("decision", str(number)))
        if len(self._started_by) > 2 * self._bounds.agents:
            oldest = sorted(self._started_by.items(), key=lambda item: item[1])[: self._bounds.agents]
            for name, _ in oldest:
                if name not in self._agents:
                    del self._started_by[name]

    def _join_pool(
        self,
        name: str,
        *,
        view: PoolView | None = None,
        readings: dict[str, Reading] | None = None,
        decision: DecisionRow | None = None,
    ) -> None:
        known = self._pools.get(name)
        if known is None and len(self._pools) >= self._bounds.pools:
            return
        known = known or PoolRow(name, None, dead=self._dead_in(name))
        row = replace(
            known,
            view=view or known.view,
            readings=known.readings if readings is None else readings,
            decision=decision or known.decision,
        )
        if row != self._pools.get(name):
            self._pools[name] = row
            self._touch(Ref("pool", name))

    def _note(self, pool: str, point: Point) -> None:
        if pool in self._pools:
            self._history.setdefault(pool, History(self._bounds.history_seconds)).note(point)

    # ---------------------------------------------------------------- dead letters

    def _dead_seen(self, event: e.DeadSeen) -> None:
        if self._is_old("dead", event.at):
            return
        before = dict(self._dead)
        waiting = {one.execution_id: one for one in event.letters[: self._bounds.builds] if one.resolution is None}
        self._dead.clear()
        self._dead.update(waiting)
        self.dead_known, self.dead_more = True, event.more
        for build_id in before.keys() | waiting.keys():
            if before.get(build_id) != waiting.get(build_id):
                (self._touch if build_id in waiting else self._gone)(Ref("dead", build_id))
        for row in tuple(self._pools.values()):
            counted = replace(row, dead=self._dead_in(row.name))
            if counted != row:
                self._pools[row.name] = counted
                self._touch(Ref("pool", row.name))

    def _dead_in(self, pool: str) -> int | None:
        if not self.dead_known:
            return None
        return sum(letter.target_pool.lower() == pool for letter in self._dead.values())

    # ---------------------------------------------------------------- logs

    def _log_seen(self, event: e.LogSeen) -> None:
        if event.lines:
            self.logs.touched(event.stream).add(event)
            self._log_changed(event.stream)

    def _log_broke(self, event: e.LogBroke) -> None:
        self.logs.touched(event.stream).broke(event)
        self._log_changed(event.stream)

    def _log_ended(self, event: e.LogEnded) -> None:
        stream = self.logs.get(event.stream)
        if stream is not None and not stream.ended:
            stream.ended = True
            self._touch(Ref("log", event.stream))

    def _log_changed(self, name: str) -> None:
        self._touch(Ref("log", name))
        for gone in self.logs.bound(name):
            self._gone(Ref("log", gone))
