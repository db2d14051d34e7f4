"""The service behind the API, in memory: takes what it is handed, or fails as told."""

from __future__ import annotations

from dataclasses import dataclass, field

from buildyard.contracts.agents import AgentJoined, AgentRegistration, AgentView, ClaimAnswer, ClaimRequest
from buildyard.contracts.annotations import Annotation, AnnotationRequest
from buildyard.contracts.api import (
    BuildAccepted,
    BuildRequest,
    CancelAccepted,
    UploadStored,
)
from buildyard.contracts.builds import Priority, Source, UploadSource
from buildyard.contracts.dead import RequeuedList
from buildyard.errors import NotFound
from orchestrator.api import examples
from orchestrator.store.queries import DeadFilter


@dataclass
class FakeService:
    """Takes what the API hands on, or fails as told."""

    failure: Exception | None = None
    submitted: list[tuple[BuildRequest, Source]] = field(default_factory=list)
    requesters: list[str] = field(default_factory=list)
    kept: list[UploadSource] = field(default_factory=list)
    started: list[tuple[str, BuildRequest]] = field(default_factory=list)
    registered: list[AgentRegistration] = field(default_factory=list)
    claims: list[tuple[str, ClaimRequest]] = field(default_factory=list)
    drained: list[tuple[str, str]] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    matching: list[DeadFilter] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    intakes: list[tuple[str, bool, str]] = field(default_factory=list)
    priorities: list[tuple[str, Priority]] = field(default_factory=list)
    failed_only: bool | None = None
    pinned: list[tuple[str, AnnotationRequest]] = field(default_factory=list)

    async def submit(
        self, request: BuildRequest, source: Source, *, requester: str, build_id: str | None = None
    ) -> BuildAccepted:
        assert build_id is None  # the API lets the service choose
        self._check(requester)
        self.submitted.append((request, source))
        return examples.accepted

    async def submit_git(self, request: BuildRequest, *, requester: str, build_id: str | None = None) -> BuildAccepted:
        assert build_id is None  # without a key the service chooses
        self._check(requester)
        self.started.append(("", request))
        return examples.accepted

    async def keep_upload(self, upload: UploadSource, *, requester: str) -> UploadStored:
        self._check(requester)
        self.kept.append(upload)
        return examples.stored.model_copy(update={"job_id": upload.upload_id, "size_bytes": upload.size_bytes})

    async def start_upload(
        self, job_id: str, request: BuildRequest, *, requester: str, build_id: str | None = None
    ) -> BuildAccepted:
        assert build_id is None  # without a key the service chooses
        self._check(requester)
        if job_id != examples.stored.job_id:
            raise NotFound(f"There is no unused upload {job_id}.")
        self.started.append((job_id, request))
        return examples.accepted

    async def register(self, registration: AgentRegistration) -> AgentJoined:
        self._check()
        self.registered.append(registration)
        return AgentJoined(name=registration.name, lease_seconds=30, heartbeat_seconds=10)

    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        self._check()
        self.claims.append((agent, request))
        return examples.claim

    async def drain(self, agent: str, reason: str) -> AgentView:
        self._check()
        self.drained.append((agent, reason))
        return examples.agent.model_copy(update={"state": "Draining"})

    async def cancel(self, build_id: str, *, requester: str) -> CancelAccepted:
        self._check(requester)
        return examples.cancelled.model_copy(update={"execution_id": build_id})

    async def retry(
        self, build_id: str, *, requester: str, new_id: str | None = None, failed_only: bool | None = None
    ) -> BuildAccepted:
        assert new_id is None  # without a key the service chooses
        self._check(requester)
        self.again.append(build_id)
        self.failed_only = failed_only
        return examples.accepted

    requeue = retry

    async def requeue_matching(self, which: DeadFilter, *, requester: str) -> RequeuedList:
        self._check(requester)
        self.matching.append(which)
        return examples.requeued

    async def set_intake(self, pool: str, *, paused: bool, reason: str, requester: str) -> None:
        self._check(requester)
        self.intakes.append((pool, paused, reason))

    async def set_priority(self, build_id: str, priority: Priority, *, requester: str) -> None:
        self._check(requester)
        self.priorities.append((build_id, priority))

    async def annotate(self, build_id: str, request: AnnotationRequest, *, requester: str) -> Annotation:
        self._check(requester)
        self.pinned.append((build_id, request))
        return examples.annotation

    async def drop(self, build_id: str, reason: str, *, requester: str) -> None:
        self._check(requester)
        self.dropped.append((build_id, reason))

    def _check(self, requester: str = "") -> None:
        if requester:
            self.requesters.append(requester)
        if self.failure is not None:
            raise self.failure
