"""Rows of the tables to records and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import RowMapping

from buildyard.contracts.agents import AgentHealth, Capabilities
from buildyard.contracts.builds import (
    ArtifactRecord,
    BuildProperties,
    BuildState,
    GitSource,
    JobKind,
    JobState,
    Outcome,
    Priority,
    ReasonCode,
    RowResult,
    RowsPart,
    Source,
    StageName,
    StageRecord,
    StageStatus,
    Strategy,
    TestSummary,
    UploadSource,
)
from buildyard.contracts.events import BuildEvent, FarmEvent
from orchestrator.domain.records import Agent, Attempt, Build, DeadLetter, Job, LogSegment, StoredArtifact, StoredStage
from orchestrator.domain.retention import Kept

_SOURCE: TypeAdapter[UploadSource | GitSource] = TypeAdapter(Source)
Record = RowMapping | Mapping[str, Any]
"""A table's row by the names of its columns."""
_KEPT = 256
_KEPT_CHARACTERS = 4096
"""Texts up to this length are read once and their values kept: those of a build or agent come again and again."""


def source_to_text(source: Source) -> str:
    """A source as JSON."""
    return source.model_dump_json()


def source_from_text(text: str) -> Source:
    """A source from JSON."""
    return _short_source(text) if len(text) <= _KEPT_CHARACTERS else _SOURCE.validate_json(text)


@lru_cache(_KEPT)
def _short_source(text: str) -> Source:
    return _SOURCE.validate_json(text)


def _properties_from(text: str) -> BuildProperties:
    return _short_properties(text) if len(text) <= _KEPT_CHARACTERS else BuildProperties.model_validate_json(text)


@lru_cache(_KEPT)
def _short_properties(text: str) -> BuildProperties:
    return BuildProperties.model_validate_json(text)


def _capabilities_from(text: str) -> Capabilities:
    return _short_capabilities(text) if len(text) <= _KEPT_CHARACTERS else Capabilities.model_validate_json(text)


@lru_cache(_KEPT)
def _short_capabilities(text: str) -> Capabilities:
    return Capabilities.model_validate_json(text)


def build_values(build: Build) -> dict[str, Any]:
    """All columns of a build but the numbers that the store itself counts up."""
    return {
        "id": build.id,
        "project": build.project,
        "pool": build.pool,
        "strategy": build.strategy.value,
        "strategy_used": build.strategy_used.value,
        "priority": build.priority.rank,
        "force_clean": build.force_clean,
        "properties": build.properties.model_dump_json(),
        "source": source_to_text(build.source),
        "upload_id": build.source.upload_id if isinstance(build.source, UploadSource) else None,
        "source_gone": build.source_gone,
        "source_bytes": build.source.size_bytes if isinstance(build.source, UploadSource) else 0,
        "requester": build.requester,
        "created_at": build.created_at,
        "retry_of": build.retry_of,
        "carries": build.carries,
        "warnings": json.dumps(build.warnings),
        **build_state(build),
    }


def build_state(build: Build) -> dict[str, Any]:
    """The columns of a build that may change in its life, but for those that only people change."""
    return {**build_changes(build), "event_seq": build.event_seq, "log_lines": build.log_lines}


def build_changes(build: Build) -> dict[str, Any]:
    """The columns of a build that decisions change."""
    return {
        "state": build.state.value,
        "reason_code": build.reason_code.value if build.reason_code else None,
        "reason": build.reason,
        "queued_at": build.queued_at,
        "started_at": build.started_at,
        "cancelling_at": build.cancelling_at,
        "ended_at": build.ended_at,
        "toolchain": build.toolchain,
        "toolchain_why": build.toolchain_why,
        "tests": build.tests.model_dump_json() if build.tests else None,
        "tests_key": build.tests_key or None,
        "rows_total": build.rows_total,
        "rows_ok": build.rows_ok,
        "rows_failed": build.rows_failed,
    }


def build_from(row: Record) -> Build:
    """A build from its row."""
    return Build(
        id=row["id"],
        project=row["project"],
        pool=row["pool"],
        strategy=Strategy(row["strategy"]),
        strategy_used=Strategy(row["strategy_used"]),
        priority=list(Priority)[row["priority"]],
        force_clean=row["force_clean"],
        properties=_properties_from(row["properties"]),
        source=source_from_text(row["source"]),
        source_gone=row["source_gone"],
        kept=Kept(row["kept"]),
        requester=row["requester"],
        created_at=row["created_at"],
        state=BuildState(row["state"]),
        reason_code=ReasonCode(row["reason_code"]) if row["reason_code"] else None,
        reason=row["reason"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        cancelling_at=row["cancelling_at"],
        ended_at=row["ended_at"],
        toolchain=row["toolchain"],
        toolchain_why=row["toolchain_why"],
        tests=TestSummary.model_validate_json(row["tests"]) if row["tests"] else None,
        tests_key=row["tests_key"] or "",
        rows_total=row["rows_total"],
        rows_ok=row["rows_ok"],
        rows_failed=row["rows_failed"],
        event_seq=row["event_seq"],
        log_lines=row["log_lines"],
        carries=row["carries"],
        retry_of=row["retry_of"],
        warnings=tuple(json.loads(row["warnings"])),
    )


def job_values(job: Job) -> dict[str, Any]:
    """All columns of a job."""
    return {
        "id": job.id,
        "build_id": job.build_id,
        "kind": job.kind.value,
        "pool": job.pool,
        "priority": job.priority.rank,
        "part": job.part.model_dump_json() if job.part else None,
        "needs": job.needs,
        **job_state(job),
    }


JOB_STATE = ("state", "attempt", "crashes", "failures", "ready_at", "not_before")
"""The columns of a job that decisions change."""


def job_state(job: Job) -> dict[str, Any]:
    """These columns of a job."""
    return {
        "state": job.state.value,
        "attempt": job.attempt,
        "crashes": job.crashes,
        "failures": job.failures,
        "ready_at": job.ready_at,
        "not_before": job.not_before,
    }


def job_from(row: Record) -> Job:
    """A job from its row."""
    return Job(
        id=row["id"],
        build_id=row["build_id"],
        kind=JobKind(row["kind"]),
        pool=row["pool"],
        priority=list(Priority)[row["priority"]],
        state=JobState(row["state"]),
        attempt=row["attempt"],
        crashes=row["crashes"],
        failures=row["failures"],
        ready_at=row["ready_at"],
        not_before=row["not_before"],
        part=RowsPart.model_validate_json(row["part"]) if row["part"] else None,
        needs=row["needs"],
    )


def attempt_values(attempt: Attempt) -> dict[str, Any]:
    """All columns of an attempt."""
    return {
        "job_id": attempt.job_id,
        "number": attempt.number,
        "build_id": attempt.build_id,
        "agent": attempt.agent,
        "hostname": attempt.hostname,
        "claim_id": attempt.claim_id,
        "started_at": attempt.started_at,
        "lease_until": attempt.lease_until,
        "ended_at": attempt.ended_at,
        "outcome": attempt.outcome.value if attempt.outcome else None,
        "reason_code": attempt.reason_code.value if attempt.reason_code else None,
        "reason": attempt.reason,
    }


def attempt_from(row: Record) -> Attempt:
    """An attempt from its row."""
    return Attempt(
        job_id=row["job_id"],
        build_id=row["build_id"],
        number=row["number"],
        agent=row["agent"],
        hostname=row["hostname"],
        claim_id=row["claim_id"],
        started_at=row["started_at"],
        lease_until=row["lease_until"],
        ended_at=row["ended_at"],
        outcome=Outcome(row["outcome"]) if row["outcome"] else None,
        reason_code=ReasonCode(row["reason_code"]) if row["reason_code"] else None,
        reason=row["reason"],
    )


def dead_letter_values(letter: DeadLetter) -> dict[str, Any]:
    """All columns of a dead letter."""
    return asdict(letter)


def dead_letter_from(row: Record) -> DeadLetter:
    """A dead letter from its row."""
    return DeadLetter(
        build_id=row["build_id"],
        dead_at=row["dead_at"],
        resolution=row["resolution"],
        resolved_at=row["resolved_at"],
        resolved_by=row["resolved_by"],
        note=row["note"],
        requeued_as=row["requeued_as"],
    )


def stage_from(row: Record) -> StoredStage:
    """A stage from its row."""
    return StoredStage(
        job_id=row["job_id"],
        attempt=row["attempt"],
        record=StageRecord(
            name=StageName(row["name"]),
            status=StageStatus(row["status"]),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            warnings=row["warnings"],
            errors=row["errors"],
            reason=row["reason"],
        ),
    )


def segment_from(row: Record) -> LogSegment:
    """A log segment from its row."""
    return LogSegment(
        build_first=row["build_first"],
        build_last=row["build_last"],
        job_id=row["job_id"],
        attempt=row["attempt"],
        first=row["first"],
        key=row["key"],
        size_bytes=row["size_bytes"],
        stages=frozenset(row["stages"].split(",")),
    )


def artifact_from(row: Record) -> StoredArtifact:
    """An artifact from its row."""
    return StoredArtifact(
        id=row["id"],
        build_id=row["build_id"],
        created_at=row["created_at"],
        record=ArtifactRecord.model_validate_json(row["record"]),
    )


def row_from(row: Record) -> RowResult:
    """A row's result from its row."""
    return RowResult(row=row["row"], ok=row["ok"], result=json.loads(row["result"]), error=row["error"])


def event_from(row: Record) -> BuildEvent:
    """An event from its row."""
    return BuildEvent(
        build_id=row["build_id"], seq=row["seq"], type=row["type"], at=row["at"], data=json.loads(row["data"])
    )


def farm_event_from(row: RowMapping) -> FarmEvent:
    """An event of the line over all builds from its row, with its build's project and pool."""
    return FarmEvent(
        id=str(row["position"]),
        project=row["project"],
        pool=row["pool"],
        build_id=row["build_id"],
        seq=row["seq"],
        type=row["type"],
        at=row["at"],
        data=json.loads(row["data"]),
    )


def agent_values(agent: Agent) -> dict[str, Any]:
    """All columns of an agent."""
    return {
        "name": agent.name,
        "pool": agent.pool,
        "hostname": agent.hostname,
        "pid": agent.pid,
        "version": agent.version,
        "capabilities": agent.capabilities.model_dump_json(),
        "health": agent.health.model_dump_json(),
        "joined_at": agent.joined_at,
        "seen_at": agent.seen_at,
        "draining": agent.draining,
        "left": agent.left,
        "reason": agent.reason,
    }


def agent_from(row: Record) -> Agent:
    """An agent from its row."""
    return Agent(
        name=row["name"],
        pool=row["pool"],
        hostname=row["hostname"],
        pid=row["pid"],
        version=row["version"],
        capabilities=_capabilities_from(row["capabilities"]),
        health=AgentHealth.model_validate_json(row["health"]),
        joined_at=row["joined_at"],
        seen_at=row["seen_at"],
        draining=row["draining"],
        left=row["left"],
        reason=row["reason"],
    )
