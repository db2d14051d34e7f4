"""What stands behind the API, in memory: service and views that do as they are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import cast

from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentView
from buildyard.contracts.annotations import AnnotationList
from buildyard.contracts.api import (
    AgentHealthAnswer,
    AgentList,
    ArtifactList,
    BuildList,
    BuildStatus,
    PoolList,
    RowList,
    Trace,
)
from buildyard.contracts.builds import ArtifactRecord, BuildState, RowResult, TestSummary
from buildyard.contracts.changing import PoolEventList
from buildyard.contracts.dead import DeadLetterDetail, DeadLetterList
from buildyard.contracts.diagnostics import DiagnosticList
from buildyard.contracts.events import BuildEvent, FarmEvent
from buildyard.contracts.messages import LogLine, LogLines
from buildyard.errors import NotFound
from buildyard.ports import Broker
from buildyard.settings import Settings
from orchestrator.api import ApiParts, examples
from orchestrator.api.farm_events import written_out
from orchestrator.api.gate import Gate
from orchestrator.api.metrics import Metrics
from orchestrator.api.parts import ProcessState
from orchestrator.domain.records import LogSegment, StoredArtifact
from orchestrator.feed import Feed
from orchestrator.service import Service
from orchestrator.store.queries import DeadFilter
from orchestrator.tail import Tail
from orchestrator.views import Load, StoreCounts, Views
from tests.orchestrator.api.fake_ports import FakeBroker, FakeLine, MemoryObjects
from tests.orchestrator.api.fake_service import FakeService

BUILD_ID = examples.accepted.execution_id
UPLOAD_ID = examples.stored.job_id
ARTIFACT_ID = examples.artifacts.artifacts[0].id
JOB_ID = "01938a2e-7c1c-7d8e-9f00-123456789abc"
OTHER_ID = "01938a2e-0000-7d8e-9f00-123456789abc"
AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@dataclass
class FakeViews:
    """One build, its log, events, rows and artifact."""

    failure: Exception | None = None
    ended: bool = False
    segments: list[LogSegment] = field(default_factory=list)
    told: list[BuildEvent] = field(default_factory=list)
    results: list[RowResult] = field(default_factory=list)
    record: ArtifactRecord | None = None
    stored: list[StoredArtifact] = field(default_factory=list)
    tested: tuple[TestSummary | None, str] = (examples.build.tests, "")
    asked: dict[str, object] = field(default_factory=dict)
    dead_asked: DeadFilter | None = None
    in_hand: Load = field(default_factory=lambda: Load(0, None, 0, 0, ()))
    counts: StoreCounts = field(
        default_factory=lambda: StoreCounts({"Running": 2, "Succeeded": 7}, 2, examples.pools.pools, 4)
    )
    calls: list[str] = field(default_factory=list)

    async def build(self, build_id: str) -> BuildStatus:
        self._known(build_id)
        return examples.build

    async def builds(
        self, *, status: BuildState | None, project: str | None, pool: str | None, cursor: str | None, limit: int
    ) -> BuildList:
        self._check()
        self.asked = {"status": status, "project": project, "pool": pool, "cursor": cursor, "limit": limit}
        return examples.builds

    async def dead_letters(self, which: DeadFilter) -> DeadLetterList:
        self._check()
        self.dead_asked = which
        return examples.dead_letters

    async def dead_letter(self, build_id: str) -> DeadLetterDetail:
        self._known(build_id)
        return examples.dead_letter_detail.model_copy(update={"log": ()})

    async def build_ended(self, build_id: str) -> bool:
        self.calls.append("build_ended")
        self._known(build_id)
        return self.ended

    async def artifacts(self, build_id: str) -> ArtifactList:
        self._known(build_id)
        return examples.artifacts

    async def annotations(self, build_id: str) -> AnnotationList:
        self._known(build_id)
        return examples.annotation_list

    async def diagnostics(self, build_id: str) -> DiagnosticList:
        self._known(build_id)
        return examples.diagnostics

    async def tests(self, build_id: str) -> tuple[TestSummary | None, str]:
        self._known(build_id)
        return self.tested

    async def stored_artifacts(self, build_id: str) -> tuple[StoredArtifact, ...]:
        self._known(build_id)
        return tuple(self.stored)

    async def pool_events(self, pool: str) -> PoolEventList:
        self._check()
        self.asked = {"pool": pool}
        return examples.pool_events

    async def artifact(self, artifact_id: str) -> ArtifactRecord:
        self._check()
        if artifact_id != ARTIFACT_ID or self.record is None:
            raise NotFound(f"There is no artifact {artifact_id}.")
        return self.record

    async def rows(self, build_id: str, *, after: int, limit: int, failed_only: bool) -> RowList:
        self._known(build_id)
        found = [row for row in self.results if row.row > after and not (failed_only and row.ok)]
        more = str(found[limit - 1].row) if len(found) > limit else None
        return RowList(rows=tuple(found[:limit]), next_cursor=more)

    async def all_rows(self, build_id: str) -> AsyncIterator[RowResult]:
        self._known(build_id)
        for row in self.results:
            yield row

    async def events(self, build_id: str, *, after: int, limit: int) -> tuple[BuildEvent, ...]:
        self.calls.append("events")
        self._known(build_id)
        return tuple(event for event in self.told if event.seq > after)[:limit]

    async def log_segments(self, build_id: str, tail: int | None = None) -> tuple[LogSegment, ...]:
        self.calls.append("log_segments")
        self._known(build_id)
        first = 1 if tail is None or not self.segments else self.segments[-1].build_last - tail + 1
        return tuple(segment for segment in self.segments if segment.build_last >= first)

    async def trace(self, build_id: str) -> Trace:
        self._known(build_id)
        return examples.trace

    async def agents(self) -> AgentList:
        self._check()
        return examples.agents

    async def agent(self, name: str) -> AgentView:
        self._check()
        if name != examples.agent.name:
            raise NotFound(f"There is no agent {name}.")
        return examples.agent

    async def agent_health(self, name: str) -> AgentHealthAnswer:
        await self.agent(name)
        return examples.agent_health

    async def pools(self) -> PoolList:
        self._check()
        return examples.pools

    async def load(self) -> Load:
        self._check()
        return self.in_hand

    async def metrics(self) -> StoreCounts:
        self._check()
        return self.counts

    async def check(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _known(self, build_id: str) -> None:
        self._check()
        if build_id != BUILD_ID:
            raise NotFound(f"There is no build {build_id}.")


@dataclass
class Farm:
    """The API's parts as fakes, and what a worker and the service would do to a build."""

    settings: Settings = field(default_factory=lambda: Settings(upload_max_bytes=8 * 2**20))
    service: FakeService = field(default_factory=FakeService)
    views: FakeViews = field(default_factory=FakeViews)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    broker: FakeBroker = field(default_factory=FakeBroker)
    feed: Feed = field(default_factory=Feed)
    metrics: Metrics = field(default_factory=Metrics)
    state: ProcessState = "ok"
    line: FakeLine = field(default_factory=FakeLine)

    def __post_init__(self) -> None:
        self.tail = Tail(
            self.line,
            self.feed.stirred,
            look_seconds=0.02,
            write_out=written_out,
            stopping=lambda: self.state == "stopping",
        )

    @property
    def parts(self) -> ApiParts:
        return ApiParts(
            service=cast("Service", self.service),
            views=cast("Views", self.views),
            feed=self.feed,
            objects=self.objects,
            broker=cast("Broker", self.broker),
            settings=self.settings,
            clock=SystemClock(),
            metrics=self.metrics,
            state=lambda: self.state,
            gate=Gate(self.settings, cast("Views", self.views), SystemClock()),
            tail=self.tail,
        )

    def tell(self, kind: str, **data: object) -> BuildEvent:
        """Record an event and hand it to the feed."""
        event = BuildEvent.model_validate(
            {"build_id": BUILD_ID, "seq": len(self.views.told) + 1, "type": kind, "at": AT, "data": data}
        )
        self.views.told.append(event)
        self.feed.publish([event])
        return event

    def tell_all(self, kind: str, *, project: str = "demo", at: datetime = AT, step: int = 7) -> FarmEvent:
        """Record an event in the line of all builds, some way after the newest, and stir the feed."""
        seq = len(self.line.told) + 1
        number = (int(self.line.told[-1].id) if self.line.told else 0) + step
        event = FarmEvent.model_validate(
            {"id": str(number), "project": project, "pool": "linux", "build_id": BUILD_ID, "seq": seq, "type": kind}
            | {"at": at}
        )
        self.line.told.append(event)
        self.feed.publish([event])
        return event

    def end(self) -> None:
        """The build ends."""
        self.views.ended = True
        self.tell("build_ended", status="Succeeded")

    def store_log(
        self, first: int, texts: Sequence[str], *, job: str = JOB_ID, attempt: int = 1, stage: str = "build"
    ) -> LogSegment:
        """Store a segment as a worker does, and record it as the service does."""
        lines = [line_of(number, text, stage) for number, text in enumerate(texts, first)]
        key = f"builds/{BUILD_ID}/jobs/{job}/{attempt}/log/{first:09d}.jsonl"
        self.objects.kept[key] = b"".join(line.encode_line() for line in lines)
        before = self.views.segments[-1].build_last if self.views.segments else 0
        segment = LogSegment(
            build_first=before + 1,
            build_last=before + len(lines),
            job_id=job,
            attempt=attempt,
            first=first,
            key=key,
            size_bytes=len(self.objects.kept[key]),
            stages=frozenset({stage}),
        )
        self.views.segments.append(segment)
        self.tell("log_stored", first=segment.build_first, last=segment.build_last, job=job, attempt=attempt)
        return segment

    def say(self, first: int, texts: Sequence[str], *, job: str = JOB_ID, attempt: int = 1) -> None:
        """Live lines, as they come from the broker."""
        lines = tuple(line_of(number, text) for number, text in enumerate(texts, first))
        self.feed.publish([LogLines(build_id=BUILD_ID, job_id=job, attempt=attempt, lines=lines)])


class _StoredLine(LogLine):
    def encode_line(self) -> bytes:
        return self.model_dump_json(by_alias=True).encode() + b"\n"


def line_of(number: int, text: str, stage: str = "build") -> _StoredLine:
    """A line of a log."""
    at = AT + timedelta(milliseconds=number)
    return _StoredLine.model_validate({"n": number, "at": at, "stage": stage, "text": text})


def artifact(body: bytes, sha256: str, **change: str) -> ArtifactRecord:
    """The record of an artifact with this body."""
    record = ArtifactRecord(
        name="result.txt",
        path="dist/result.txt",
        size_bytes=len(body),
        content_type="text/plain",
        sha256=sha256,
        key="builds/x/result.txt",
    )
    return record.model_copy(update=dict(change))


def without(segment: LogSegment, objects: MemoryObjects) -> LogSegment:
    """A segment whose object is gone."""
    del objects.kept[segment.key]
    return replace(segment)
