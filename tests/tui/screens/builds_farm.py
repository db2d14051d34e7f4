"""A small farm with one failed build, one that runs and one that waits, as events."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from buildyard.contracts.api import (
    AgentOfBuild,
    ArtifactView,
    AttemptView,
    BuildStatus,
    Links,
    PoolIntake,
    PoolView,
    SourceView,
    StageView,
)
from buildyard.contracts.builds import TestCase, TestSummary
from buildyard.contracts.diagnostics import StageDiagnostic
from tests.tui.app.farms import seen
from tests.tui.samples import agent, at, decision, identifier, summary
from tui.state.events import (
    AgentsSeen,
    ArtifactsSeen,
    BuildSeen,
    BuildsSeen,
    DeadSeen,
    DecisionsSeen,
    DiagnosticsSeen,
    Event,
    LogLine,
    LogSeen,
    PoolsSeen,
    SourceSeen,
    log_of_build,
)

NOW = at(90)
FAILED, RUNNING, QUEUED = 1, 2, 3
LINKS = Links(self_="/", logs="/", events="/", trace="/")
TESTS = TestSummary(
    total=214,
    passed=212,
    failed=2,
    failures=(TestCase(name="Case12", suite="Part7", message="expected 4, got 5"), TestCase(name="Case13")),
)


def connected() -> tuple[SourceSeen, SourceSeen]:
    return seen("producer", "connected", NOW), seen("scaler", "connected", NOW)


def stages(*statuses: str) -> tuple[StageView, ...]:
    names = ("Fetch", "Restore", "Build", "Test", "Package", "Publish")
    return tuple(
        StageView(
            name=name,
            status=status,
            start_time=None if status == "Pending" else at(10 * number),
            duration=None if status in {"Pending", "Skipped"} else 10.0,
            warnings_count=3 if name == "Build" else 0,
            errors_count=int(status == "Failed"),
        )
        for number, (name, status) in enumerate(zip(names, statuses, strict=True))
    )


def whole(number: int, status: str, shown: tuple[StageView, ...], **more: object) -> BuildStatus:
    """A build in full; `more` are fields of it."""
    ended = status in {"Failed", "Succeeded"}
    fields: dict[str, object] = {
        "execution_id": identifier(number),
        "project_name": f"project-{number}",
        "configuration": "Release",
        "target_pool": "linux",
        "priority": "High",
        "strategy": "Incremental",
        "strategy_used": "Clean",
        "status": status,
        "current_stage": None,
        "created_at": at(0),
        "start_time": None if status == "Queued" else at(1),
        "end_time": at(41) if ended else None,
        "duration": 40.0 if ended else None,
        "queue_position": 4 if status == "Queued" else None,
        "stages": shown,
        "agent": None if status == "Queued" else AgentOfBuild(name="linux-9-1", hostname="node-1", target_type="linux"),
        "toolchain": "dotnet",
        "toolchain_why": "A solution was found.",
        "tests": None,
        "rows": None,
        "artifacts_count": 0,
        "reason": "",
        "reason_code": None,
        "attempts": (),
        "source": SourceView(type="git", url="https://example.org/x", ref="fix/[/x]"),
        "metadata": {},
        "warnings": (),
        "links": LINKS,
    }
    return BuildStatus.model_validate({**fields, **more})


def attempt(number: int, outcome: str | None, build: int = FAILED, reason: str = "") -> AttemptView:
    return AttemptView(
        job_id=identifier(1000 + build),
        number=number,
        agent="linux-9-1",
        started_at=at(number),
        ended_at=at(41) if outcome else None,
        outcome=outcome,
        reason_code=None,
        reason=reason,
    )


def failed_build(**more: object) -> BuildStatus:
    shown = stages("Succeeded", "Succeeded", "Succeeded", "Failed", "Skipped", "Skipped")
    told: dict[str, object] = {
        "tests": TESTS,
        "warnings": ("Two lock files were found.",),
        "reason": "2 of 214 tests failed.",
        "reason_code": "tests_failed",
        "attempts": (attempt(1, "Lost", reason="The agent went away."), attempt(2, "Failed")),
    }
    return whole(FAILED, "Failed", shown, **{**told, **more})


def artifact(name: str = "tests.xml") -> ArtifactView:
    return ArtifactView(
        id=identifier(77),
        name=name,
        path=name,
        size_bytes=2048,
        content_type="text/xml",
        sha256_hash="0" * 64,
        created_at=at(40),
        download_url="/",
    )


def diagnostic(number: int = 1, severity: Literal["warning", "error"] = "warning") -> StageDiagnostic:
    return StageDiagnostic(
        severity=severity,
        file=f"src/Part{number}.cs",
        line=number,
        column=9,
        code="CS8602",
        message="It may be null.",
        stage="Build",
        job_id=identifier(1000 + FAILED),
    )


def findings() -> DiagnosticsSeen:
    """What the compilers of the failed build said."""
    return DiagnosticsSeen(at(60), identifier(FAILED), (diagnostic(7, "error"), diagnostic()))


def log_lines() -> tuple[LogLine, ...]:
    """Thirty lines of Build, then thirty of Test of which the twentieth tells of an error."""
    build = [LogLine(f"  Part{n} -> out/Part{n}.dll", n, 1.0 + n, "Build", 2) for n in range(1, 31)]
    test = [LogLine(f"Passed Part{n}", 30 + n, 50.0 + n, "Test", 2) for n in range(1, 31)]
    test[19] = LogLine("error: \x1b[31mCase12\x1b[0m expected 4, got 5", 50, 70.0, "Test", 2)
    return (*build, *test)


def pool(*, paused: bool = False, idle: int = 0, busy: int = 1, ready: int = 3, name: str = "linux") -> PoolView:
    intake = (
        PoolIntake(paused=paused, reason="The disk is changed.", by="kim", since=at(30)) if paused else PoolIntake()
    )
    agents = {"idle": idle, "busy": busy}
    return PoolView(
        name=name,
        ready=ready,
        waiting=0,
        leases=busy,
        oldest_wait_seconds=12.0,
        agents=agents,
        generations={},
        intake=intake,
    )


def farm(now: datetime = NOW) -> tuple[Event, ...]:
    """All of it."""
    running = stages("Succeeded", "Running", "Pending", "Pending", "Pending", "Pending")
    return (
        *connected(),
        PoolsSeen(now, (pool(),)),
        DecisionsSeen((decision(1, start=("linux-9-1",), seconds=1),)),
        AgentsSeen(now, (agent("linux-9-1", RUNNING, "Busy"),)),
        BuildsSeen(at(50), (summary(QUEUED), summary(RUNNING, "Running"), summary(FAILED, "Failed"))),
        BuildSeen(at(60), failed_build()),
        BuildSeen(at(60), whole(RUNNING, "Running", running)),
        BuildSeen(at(60), whole(QUEUED, "Queued", stages(*["Pending"] * 6))),
        ArtifactsSeen(at(60), identifier(FAILED), (artifact(),)),
        DeadSeen(at(60), ()),
        LogSeen(log_of_build(identifier(FAILED)), log_lines()),
    )
