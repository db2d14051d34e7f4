"""Everything that the stages of one attempt share."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from buildyard.clock import Clock
from buildyard.contracts.agents import AgentJoined, AgentRegistration, AgentView, ClaimAnswer, ClaimRequest
from buildyard.contracts.api import BuildAccepted, BuildRequest
from buildyard.contracts.builds import JobKind, JobSpec, StageName
from buildyard.ports import ObjectStore
from buildyard.settings import Settings
from worker.capabilities import Tools
from worker.logs import LogWriter
from worker.process import Launch, Limits
from worker.reporting import Reports
from worker.sandbox import Workspace
from worker.stopping import StopSignal

DISK_IS_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""The error numbers that mean: no room left."""


class Producer(Protocol):
    """What a worker asks of the producer; `buildyard.client.ProducerClient` is one."""

    async def register(self, registration: AgentRegistration) -> AgentJoined:
        """Join the pool. Raises Conflict where the agent may not, ProducerUnavailable."""

    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        """Ask for a job. Raises NotFound when the producer does not know the agent, ProducerUnavailable."""

    async def agent(self, name: str) -> AgentView:
        """An agent as the producer sees it. Raises NotFound, ProducerUnavailable."""

    async def submit(self, request: BuildRequest, *, key: str = "") -> BuildAccepted:
        """Ask for a build, once for a key. Raises InvalidRequest, Forbidden, Overloaded, ProducerUnavailable."""

    def rows_jsonl(self, build_id: str) -> AsyncIterator[bytes]:
        """All row results of a batch as JSON lines, in order of rows, in pieces of any length."""


def needs_workspace(spec: JobSpec) -> bool:
    """Whether a job works with files: rows that need no program pass through memory only."""
    return spec.rows is None or spec.rows.handler != "builtin"


@dataclass(frozen=True)
class Attempt:
    """One attempt of one job, in its workspace."""

    spec: JobSpec
    agent: str
    workspace: Workspace
    environment: Mapping[str, str]
    tools: Tools
    cores: int
    settings: Settings
    objects: ObjectStore
    producer: Producer
    reports: Reports
    log: LogWriter
    stop: StopSignal
    clock: Clock

    @property
    def marker(self) -> str:
        """How its processes are marked."""
        return f"{self.spec.job_id}/{self.spec.attempt}"

    async def note(self, stage: StageName, text: str) -> None:
        """The worker's own words in the log; a job of rows writes none, its log is its handler's alone."""
        if self.spec.kind is not JobKind.ROWS:
            await self.log.note(stage, text)

    def launch(
        self,
        argv: tuple[str, ...],
        cwd: Path,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Launch:
        """A child in the sandbox's environment, with `env` added."""
        return Launch(
            argv,
            cwd,
            {**self.environment, **(env or {})},
            self.agent,
            self.marker,
            timeout_seconds,
            Limits(file_bytes=self.settings.unpack_max_bytes),
        )
