"""Small fakes of the ports, and a whole attempt on a real folder, for tests of the worker."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import sys
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentHealth, AgentJoined, AgentRegistration, AgentView, ClaimAnswer, ClaimRequest
from buildyard.contracts.api import BuildAccepted, BuildRequest, Links
from buildyard.contracts.builds import (
    BuildProperties,
    GitSource,
    JobKind,
    JobSpec,
    Priority,
    RowsPart,
    Source,
    Strategy,
    UploadKind,
    UploadSource,
)
from buildyard.contracts.messages import JobFinished, StageFinished
from buildyard.errors import NotFound, ObjectsUnavailable, ProducerUnavailable
from buildyard.objects.store import MemoryObjects
from buildyard.ports import Broker, Channel, ObjectStore
from buildyard.settings import Settings
from worker.attempt import Attempt
from worker.capabilities import Tools
from worker.logs import LogWriter
from worker.reporting import AnyReport
from worker.runner import Runner
from worker.sandbox import Workspace, build_environment
from worker.stopping import StopSignal

AGENT = "linux-1-1"
UPLOAD_KEY = "uploads/u"
_TOOLS = {"python": sys.executable, "git": "/usr/bin/git", "make": "/usr/bin/make"}
_IDS = iter(range(1, 1_000_000))


def new_id() -> str:
    """An identifier no other of this process has."""
    return f"00000000-0000-7000-8000-{os.getpid():06d}{next(_IDS):06d}"


class FakeReports:
    """Keeps what is reported; `before_confirm` may be set to make confirmations wait."""

    def __init__(self) -> None:
        self.sent: list[AnyReport] = []
        self.before_confirm = asyncio.Event()
        self.before_confirm.set()

    def send(self, report: AnyReport) -> None:
        self.sent.append(report)

    async def confirm(self, report: AnyReport) -> None:
        self.sent.append(report)
        await self.before_confirm.wait()

    def of(self, kind: type[Any]) -> list[Any]:
        return [report for report in self.sent if isinstance(report, kind)]

    def stages(self) -> list[tuple[str, str]]:
        return [(report.stage.value, report.status.value) for report in self.of(StageFinished)]


class FakeBroker:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[Channel, bytes]] = []

    async def publish(
        self, channel: Channel, bodies: Sequence[bytes], _headers: Mapping[str, str] | None = None
    ) -> None:
        self.published += [(channel, body) for body in bodies]

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def declare(self, _channel: Channel) -> None:
        return

    async def subscribe(self, channel: Channel, _prefetch: int = 1) -> Any:
        raise AssertionError(channel)

    async def depth(self, channel: Channel) -> Any:
        raise AssertionError(channel)

    async def witnesses(self, channel: Channel) -> Any:
        raise AssertionError(channel)


class FailingObjects(MemoryObjects):
    """An object store that is away for its first `failures` puts."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.tried = 0

    async def put(self, key: str, chunks: AsyncIterator[bytes] | bytes) -> Any:
        self.tried += 1
        if self.failures > 0:
            self.failures -= 1
            raise ObjectsUnavailable("The object store is away.")
        return await super().put(key, chunks)


class FakeProducer:
    """Answers claims from a list of specs; forgets agents or goes away on demand."""

    def __init__(self) -> None:
        self.specs: list[JobSpec] = []
        self.registrations: list[AgentRegistration] = []
        self.claims: list[ClaimRequest] = []
        self.away = False
        self.forgotten = False
        self.unsuited = ""
        self.refusal: Exception | None = None
        self.state = "idle"
        self.asked = 0
        """How often it was asked how an agent is."""
        self.rows: list[bytes] = []
        self.submitted: list[tuple[str, BuildRequest]] = []
        self.answers: list[Exception] = []
        self.break_rows_after: int | None = None
        self.heartbeat_seconds = 0.1

    async def register(self, registration: AgentRegistration) -> AgentJoined:
        if self.away:
            raise ProducerUnavailable("The producer is away.", retry_after=0.05)
        if self.refusal is not None:
            raise self.refusal
        self.registrations.append(registration)
        self.forgotten = False
        return AgentJoined(name=registration.name, lease_seconds=30, heartbeat_seconds=self.heartbeat_seconds)

    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        self.claims.append(request)
        if self.away:
            raise ProducerUnavailable("The producer is away.", retry_after=0.05)
        if self.forgotten:
            raise NotFound(f"There is no agent {agent}.")
        if self.unsuited:
            return ClaimAnswer(verdict="unsuited", reason=self.unsuited)
        if not self.specs:
            return ClaimAnswer(verdict="none")
        return ClaimAnswer(verdict="job", job=self.specs.pop(0))

    async def agent(self, name: str) -> AgentView:
        self.asked += 1
        registration = self.registrations[-1]
        return AgentView(
            name=name,
            pool=registration.pool,
            state=self.state,
            hostname="",
            pid=1,
            version="",
            capabilities=registration.capabilities,
            health=AgentHealth(),
            joined_at=datetime.now(UTC),
            seen_at=datetime.now(UTC),
        )

    async def submit(self, request: BuildRequest, *, key: str = "") -> BuildAccepted:
        self.submitted.append((key, request))
        if self.answers:
            raise self.answers.pop(0)
        links = Links.model_validate({"self": "", "logs": "", "events": "", "trace": ""})
        return BuildAccepted(
            execution_id=new_id(),
            status="Queued",
            queue_position=0,
            estimated_start_time=None,
            estimated_duration=None,
            links=links,
        )

    async def rows_jsonl(self, _build_id: str) -> AsyncGenerator[bytes, None]:
        if self.away:
            raise ProducerUnavailable("The producer is away.", retry_after=0.01)
        for number, chunk in enumerate(self.rows):
            if self.break_rows_after == number:
                self.break_rows_after = None
                raise ProducerUnavailable("The stream broke.", retry_after=0.01)
            yield chunk


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o755 if path.endswith(".sh") else 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def upload_of(content: bytes, kind: UploadKind = UploadKind.ZIP) -> UploadSource:
    """The source that stands for these bytes under UPLOAD_KEY."""
    return UploadSource(
        upload_id=new_id(),
        key=UPLOAD_KEY,
        kind=kind,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def job_spec(
    source: Source | None = None,
    kind: JobKind = JobKind.BUILD,
    timeout: float = 60,
    rows: RowsPart | None = None,
    **properties: Any,
) -> JobSpec:
    """A job of a build."""
    job_id = new_id()
    return JobSpec(
        job_id=job_id,
        build_id=new_id(),
        attempt=1,
        kind=kind,
        pool="linux",
        priority=Priority.NORMAL,
        source=source or GitSource(url="https://github.com/a/b", ref="main"),
        properties=BuildProperties(**properties),
        strategy=Strategy.CLEAN,
        timeout_seconds=timeout,
        lease_seconds=30,
        output_prefix=f"builds/b/jobs/{job_id}/1/",
        rows=rows,
    )


@dataclass
class Rig:
    """An attempt with everything around it."""

    attempt: Attempt
    objects: ObjectStore
    reports: FakeReports
    broker: FakeBroker
    producer: FakeProducer
    settings: Settings
    keep: list[Any] = field(default_factory=list)

    async def run(self) -> JobFinished:
        """Run the attempt to its end."""
        return await Runner(self.attempt).run()

    async def log_lines(self) -> list[dict[str, Any]]:
        """All stored lines of the log, in order."""
        return await stored_lines(self.objects, self.attempt.spec)

    async def log_text(self) -> str:
        """The stored log as text."""
        return "\n".join(line["text"] for line in await self.log_lines())

    @property
    def src(self) -> Path:
        """The sources' folder."""
        return self.attempt.workspace.src


async def stored_lines(objects: ObjectStore, spec: JobSpec) -> list[dict[str, Any]]:
    """All lines of a stored log, in order."""
    import json

    lines: list[dict[str, Any]] = []
    async for info in objects.list(f"{spec.output_prefix}log"):
        body = await objects.read(info.key)
        lines += [json.loads(line) for line in body.decode().split("\n") if line]
    return lines


def rig_of(
    tmp_path: Path,
    spec: JobSpec,
    *,
    objects: ObjectStore | None = None,
    parent: Mapping[str, str] | None = None,
    tools: Mapping[str, str] | None = None,
    log_limit: int = 64 * 1024 * 1024,
    log_patience: float = 300,
    **settings: Any,
) -> Rig:
    """An attempt in a workspace below `tmp_path`; `parent` is the worker's own environment."""
    chosen = Settings(data_dir=tmp_path / "data", **settings)
    objects = objects or MemoryObjects()
    reports, broker, producer, stop = FakeReports(), FakeBroker(), FakeProducer(), StopSignal()
    workspace = Workspace(tmp_path / "work")
    given = {"PATH": os.environ["PATH"]} if parent is None else parent
    log = LogWriter(
        spec,
        AGENT,
        objects=objects,
        broker=as_broker(broker),
        reports=reports,
        clock=SystemClock(),
        stop=stop,
        limit_bytes=log_limit,
        patience_seconds=log_patience,
    )
    attempt = Attempt(
        spec=spec,
        agent=AGENT,
        workspace=workspace,
        environment=build_environment(given, workspace, tmp_path / "cache"),
        tools=Tools(_TOOLS if tools is None else tools, {}),
        cores=1,
        settings=chosen,
        objects=objects,
        producer=producer,
        reports=reports,
        log=log,
        stop=stop,
        clock=SystemClock(),
    )
    return Rig(attempt, objects, reports, broker, producer, chosen)


def as_broker(fake: FakeBroker) -> Broker:
    """The fake, seen as the port."""
    return fake


async def upload_rig(tmp_path: Path, content: bytes, kind: UploadKind = UploadKind.ZIP, **more: Any) -> Rig:
    """A rig whose job is to build an upload of these bytes; further arguments as of `job_spec` and `rig_of`."""
    names = {
        "objects", "parent", "tools", "log_limit", "git_hosts", "git_local_roots", "call_hosts", "unpack_max_bytes",
    }  # fmt: skip
    around = {name: more.pop(name) for name in names & more.keys()}
    rig = rig_of(tmp_path, job_spec(upload_of(content, kind), **more), **around)
    await rig.objects.put(UPLOAD_KEY, content)
    return rig
