"""Agents: what a worker process says of itself, and what the producer answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from buildyard.contracts.builds import JobSpec
from buildyard.contracts.wire import AgentName, Count, Identifier, Moment, PoolName, Reported, Request, Value, WireEnum


class Capabilities(Reported):
    """What an agent has, or what a pool declares each of its agents to have (then: at least this much)."""

    os: str = ""
    arch: str = ""
    cores: float = Field(default=0, ge=0)
    memory_bytes: Count = 0
    disk_bytes: Count = 0
    tools: dict[str, str] = Field(default_factory=dict)
    """Name to version, for example {"python": "3.11.7", "dotnet": "3.1.102"}; a pool may declare "" for any."""


class AgentState(WireEnum):
    """Where an agent stands."""

    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    LEFT = "left"
    LOST = "lost"

    @property
    def present(self) -> bool:
        """Whether the agent counts as a living one."""
        return self in {AgentState.IDLE, AgentState.BUSY, AgentState.DRAINING}


class AgentHealth(Reported):
    """A sample of the agent's machine; None where the platform does not tell."""

    load_1m: float | None = None
    memory_free_bytes: int | None = None
    disk_free_bytes: int | None = None
    agent_memory_bytes: int | None = None


class AgentRegistration(Request):
    """How a worker joins its pool."""

    name: AgentName
    pool: PoolName
    hostname: str = Field(max_length=255)
    pid: int = Field(ge=0, lt=2**31)
    version: str = Field(max_length=64)
    capabilities: Capabilities
    health: AgentHealth


class AgentJoined(Value):
    """The producer's answer: the farm's times, in seconds."""

    v: Literal[1] = 1
    name: AgentName
    lease_seconds: float
    heartbeat_seconds: float


class ClaimRequest(Request):
    """A worker with a ticket asks for a job; the same `claim_id` again gets the same answer."""

    claim_id: Identifier
    pool: PoolName


class DrainRequest(Request):
    """Why an agent shall leave."""

    reason: str = Field(default="asked by a user", max_length=500, examples=["maintenance"])


class ClaimAnswer(Value):
    """`job`: here is one. `none`: the ticket was a duplicate, drop it. `unsuited`: give the ticket back."""

    v: Literal[1] = 1
    verdict: Literal["job", "none", "unsuited"]
    job: JobSpec | None = None
    reason: str = ""


class AgentView(Value):
    """An agent as the API shows it."""

    name: AgentName
    pool: PoolName
    state: str
    hostname: str
    pid: int
    version: str
    capabilities: Capabilities
    health: AgentHealth
    joined_at: Moment
    seen_at: Moment
    build_id: Identifier | None = None
    job_id: Identifier | None = None
    reason: str = ""
    jobs_done: Count | None = None
    """Jobs that ended well with it within the last day; None: not counted here, as for a single agent."""
    jobs_failed: Count | None = None
    """Likewise those that failed, took too long or could not be done."""
