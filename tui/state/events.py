"""What sources tell the store. `at` is the source's time at which it asked: what was asked later is newer.

Contract values are carried as they are. An event is a whole answer, not a difference, wherever the API gives one: so
an event that was lost costs nothing but time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import (
    ArtifactView,
    BuildStatus,
    BuildSummary,
    HealthAnswer,
    PoolView,
    WorkerInfo,
)
from buildyard.contracts.dead import DeadLetterView
from buildyard.contracts.diagnostics import StageDiagnostic
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.health import ProcessUse
from buildyard.contracts.scaling import Decision, Reading

SourceName = Literal["producer", "scaler"]
Connection = Literal["connecting", "connected", "stale", "down"]


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """How the connection to one source is; told when it changes and with each answer."""

    source: SourceName
    at: datetime
    connection: Connection
    address: str = ""
    last_ok: datetime | None = None
    """When it last answered; None: never."""
    cause: str = ""
    """One sentence; "" while it is well."""
    remedy: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PartSeen:
    """Whether a source tells a part of what it has, such as `scaler/workers` or a log's stream."""

    source: SourceName
    at: datetime
    part: str
    cause: str = ""
    """Why it does not, as one sentence; "": it does again."""
    remedy: str = ""
    forbidden: bool = False
    """Whether whoever looks may not see it; else the server has none."""


@dataclass(frozen=True, slots=True)
class HealthSeen:
    """What a source says of itself."""

    source: SourceName
    at: datetime
    health: HealthAnswer
    use: ProcessUse | None = None
    """What it uses of its machine; None: it does not tell."""


@dataclass(frozen=True, slots=True)
class PoolsSeen:
    """All pools."""

    at: datetime
    pools: tuple[PoolView, ...]


@dataclass(frozen=True, slots=True)
class AgentsSeen:
    """All agents that the producer knows."""

    at: datetime
    agents: tuple[AgentView, ...]


@dataclass(frozen=True, slots=True)
class WorkersSeen:
    """All workers that the scaler's executors know, and its readings by pool."""

    at: datetime
    workers: tuple[WorkerInfo, ...]
    readings: dict[str, dict[str, Reading]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildsSeen:
    """Some builds, as lists show them."""

    at: datetime
    builds: tuple[BuildSummary, ...]


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """One build in full."""

    at: datetime
    build: BuildStatus


@dataclass(frozen=True, slots=True)
class BuildGone:
    """The producer has no such build any more."""

    at: datetime
    build_id: str


@dataclass(frozen=True, slots=True)
class BuildChanged:
    """One event of one build; with its project and pool where the stream of all builds tells them."""

    event: BuildEvent
    project: str = ""
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ArtifactsSeen:
    """All artifacts of a build."""

    at: datetime
    build_id: str
    artifacts: tuple[ArtifactView, ...]


@dataclass(frozen=True, slots=True)
class DiagnosticsSeen:
    """What the compilers of a build said, errors first: the first ones of each stage, as the API gives them."""

    at: datetime
    build_id: str
    diagnostics: tuple[StageDiagnostic, ...]


@dataclass(frozen=True, slots=True)
class DeadSeen:
    """The dead letters that wait for a person, the newest first; `more`: there are further ones."""

    at: datetime
    letters: tuple[DeadLetterView, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class DecisionsSeen:
    """Decisions of the scaler, in any order."""

    decisions: tuple[Decision, ...]


class LogLine(NamedTuple):
    """One line of a log. `n` counts from 1 over the whole log; None where the source does not number lines."""

    text: str
    n: int | None = None
    at: float | None = None
    """Seconds since 1970, UTC."""
    stage: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class LogSeen:
    """Lines of one log, in order; `stream` as `log_of_build` and `log_of_agent` write it."""

    stream: str
    lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class LogBroke:
    """A break in a log: a reconnect, a restart; `missing` lines never came, None: nobody knows how many."""

    stream: str
    at: datetime
    text: str
    missing: int | None = 0


@dataclass(frozen=True, slots=True)
class LogEnded:
    """Nothing more will come."""

    stream: str


Event = (
    SourceSeen
    | PartSeen
    | HealthSeen
    | PoolsSeen
    | AgentsSeen
    | WorkersSeen
    | BuildsSeen
    | BuildSeen
    | BuildGone
    | BuildChanged
    | ArtifactsSeen
    | DiagnosticsSeen
    | DeadSeen
    | DecisionsSeen
    | LogSeen
    | LogBroke
    | LogEnded
)


def log_of_build(build_id: str) -> str:
    """The stream of a build's log."""
    return f"build/{build_id}"


def part_of_log(stream: str) -> str:
    """The name of a log among the parts of what a source tells; that of a build is another one than the build's."""
    return f"log/{stream}"


def part_of_build(build_id: str) -> str:
    """The name of a build in full among them."""
    return f"build/{build_id}"


def log_of_agent(name: str) -> str:
    """The stream of an agent's own log."""
    return f"agent/{name}"
