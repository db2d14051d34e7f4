"""Records to decide upon, and a small world in memory that applies steps as the store does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from buildyard.contracts.agents import AgentHealth, Capabilities
from buildyard.contracts.builds import (
    BatchFound,
    BuildProperties,
    BuildState,
    JobKind,
    JobState,
    Outcome,
    Priority,
    ReasonCode,
    RowChunk,
    RowSpan,
    Strategy,
    UploadKind,
    UploadSource,
)
from buildyard.contracts.messages import JobFinished
from orchestrator.domain import lifecycle
from orchestrator.domain.planning import first_job
from orchestrator.domain.records import Agent, Attempt, Build, DeadLetter, EventDraft, Job, JobCounts, Limits, Step
from orchestrator.domain.retrying import is_due

START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(lease_seconds=30, max_attempts=3, cancel_seconds=30, queue_seconds=86_400, no_agent_seconds=600)


def an_id(number: int) -> str:
    return f"00000000-0000-7000-8000-{number:012d}"


def an_upload(number: int = 1) -> UploadSource:
    return UploadSource(
        upload_id=an_id(number), key=f"uploads/{number}", kind=UploadKind.ZIP, sha256="0" * 64, size_bytes=10
    )


def a_build(number: int = 1, *, priority: Priority = Priority.NORMAL, created_at: datetime = START) -> Build:
    return Build(
        id=an_id(number),
        project="demo",
        pool="linux",
        strategy=Strategy.CLEAN,
        strategy_used=Strategy.CLEAN,
        priority=priority,
        force_clean=False,
        properties=BuildProperties(project_name="demo"),
        source=an_upload(number),
        requester="local",
        created_at=created_at,
    )


def an_agent(name: str = "linux-1-1") -> Agent:
    return Agent(
        name=name,
        pool="linux",
        hostname="host",
        pid=1,
        version="0",
        capabilities=Capabilities(),
        health=AgentHealth(),
        joined_at=START,
        seen_at=START,
    )


def a_batch(rows: int) -> BatchFound:
    chunks = tuple(
        RowChunk(span=RowSpan(first=n, count=1), byte_start=n * 10, byte_end=n * 10 + 10) for n in range(1, rows + 1)
    )
    return BatchFound(rows_key="rows.jsonl", rows=rows, columns=("a",), handler="builtin", chunks=chunks)


def finished(
    attempt: Attempt,
    outcome: Outcome,
    code: ReasonCode = ReasonCode.SUCCEEDED,
    reason: str = "A reason.",
    found: BatchFound | None = None,
) -> JobFinished:
    return JobFinished(
        build_id=attempt.build_id,
        job_id=attempt.job_id,
        attempt=attempt.number,
        agent=attempt.agent,
        at=START,
        outcome=outcome,
        reason_code=code,
        reason=reason,
        found=found,
    )


@dataclass
class World:
    """One build with its jobs and attempts; `now` moves by hand."""

    build: Build
    now: datetime = START
    jobs: dict[str, Job] = field(default_factory=dict)
    attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    events: list[EventDraft] = field(default_factory=list)
    tickets: int = 0
    dead: DeadLetter | None = None
    next_id: int = 1000

    @classmethod
    def admitted(cls) -> World:
        build = a_build()
        world = cls(build)
        world.apply(lifecycle.admit(build, first_job(build, an_id(100)), START))
        return world

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def ready(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.state is JobState.READY]

    def waiting(self) -> list[Job]:
        """Jobs that wait after an attempt that went wrong."""
        return [job for job in self.jobs.values() if job.state is JobState.WAITING and job.not_before]

    def end_waits(self) -> None:
        for job in self.waiting():
            if job.not_before and is_due(job.not_before, self.now):
                self.jobs[job.id] = replace(job, state=JobState.READY, ready_at=self.now, not_before=None)
                self.tickets += 1

    def live(self) -> tuple[Attempt, ...]:
        return tuple(attempt for attempt in self.attempts.values() if attempt.ended_at is None)

    def claim(self, agent: str = "linux-1-1") -> Attempt:
        job = self.ready()[0]
        self.next_id += 1
        step = lifecycle.claim(self.build, job, an_agent(agent), an_id(self.next_id), LIMITS, self.now)
        self.apply(step)
        assert step.attempt is not None
        return step.attempt

    def finish(self, attempt: Attempt, outcome: Outcome, **more: object) -> None:
        report = finished(attempt, outcome, **more)  # type: ignore[arg-type] # passed through as they are
        ids = tuple(an_id(5000 + n) for n in range(len(report.found.chunks) + 1)) if report.found else ()
        job = self.jobs[attempt.job_id]
        step = lifecycle.finish(self.build, job, attempt, report, self.beside(job), ids, LIMITS, self.now)
        self.apply(step)

    def lose(self, attempt: Attempt) -> None:
        job = self.jobs[attempt.job_id]
        self.apply(lifecycle.lose(self.build, job, attempt, self.beside(job), LIMITS, self.now))

    def cancel(self) -> None:
        self.apply(lifecycle.cancel(self.build, self.live(), "local", self.now))

    def beside(self, job: Job) -> JobCounts:
        others = [other for other in self.jobs.values() if other.id != job.id]
        rows = [other for other in others if other.kind is JobKind.ROWS and not other.state.terminal]
        running = [other for other in others if other.state is JobState.RUNNING]
        spent = [
            other
            for other in others
            if other.kind is JobKind.ROWS and other.state is JobState.FAILED and other.tries >= LIMITS.max_attempts
        ]
        return JobCounts(open_rows=len(rows), running=len(running), given_up=len(spent))

    def apply(self, step: Step) -> None:
        assert not self.build.state.terminal or step.build == self.build, "an ended build changed"
        self.build = step.build
        if step.job:
            self.jobs[step.job.id] = step.job
        if step.attempt:
            self.attempts[step.attempt.job_id, step.attempt.number] = step.attempt
        for job in step.new_jobs:
            self.jobs[job.id] = job
        for job in list(self.jobs.values()):
            if step.release and job.kind is step.release and job.state is JobState.WAITING:
                self.jobs[job.id] = replace(job, state=JobState.READY, ready_at=self.now)
            elif step.close_jobs and job.state in {JobState.WAITING, JobState.READY}:
                self.jobs[job.id] = replace(job, state=step.close_jobs)
            elif step.fence and job.state is JobState.RUNNING:
                self.jobs[job.id] = replace(job, state=JobState.CANCELLED)
        if step.fence:
            for key, attempt in self.attempts.items():
                if attempt.ended_at is None:
                    self.attempts[key] = replace(attempt, ended_at=self.now, outcome=Outcome.CANCELLED)
        self.tickets += step.tickets
        self.dead = step.dead or self.dead
        self.events += step.events


def ended(build: Build) -> bool:
    return build.state in {state for state in BuildState if state.terminal}
