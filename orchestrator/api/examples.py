"""One example of every answer, made from the contracts themselves, so that they cannot drift from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from buildyard.contracts.agents import AgentHealth, AgentJoined, AgentView, Capabilities, ClaimAnswer
from buildyard.contracts.annotations import Annotation, AnnotationList
from buildyard.contracts.api import (
    AgentHealthAnswer,
    AgentList,
    AgentOfBuild,
    ArtifactList,
    ArtifactView,
    AttemptView,
    BuildAccepted,
    BuildList,
    BuildStatus,
    BuildSummary,
    CancelAccepted,
    CheckView,
    HealthAnswer,
    Links,
    PoolIntake,
    PoolList,
    PoolView,
    RowList,
    SourceView,
    StageView,
    Trace,
    TraceSpan,
    UploadStored,
)
from buildyard.contracts.builds import RowResult, TestCase, TestSummary, UploadKind
from buildyard.contracts.changing import PoolEvent, PoolEventList
from buildyard.contracts.dead import DeadLetterDetail, DeadLetterList, DeadLetterView, Requeued, RequeuedList
from buildyard.contracts.diagnostics import DiagnosticList, StageDiagnostic
from buildyard.contracts.events import BuildEvent, FarmEvent
from buildyard.contracts.testing import TestPage, TestSuite

_BUILD_ID = "01938a2e-7c1b-7d8e-9f00-123456789abc"
_JOB_ID = "01938a2e-7c1c-7d8e-9f00-123456789abc"
_ARTIFACT_ID = "01938a30-11aa-7d8e-9f00-123456789abc"
_UPLOAD_ID = "01938a2e-7b00-7d8e-9f00-123456789abc"
_SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
_LINKS = Links.model_validate(
    {
        "self": f"/api/v1/builds/{_BUILD_ID}",
        "logs": f"/api/v1/builds/{_BUILD_ID}/logs",
        "events": f"/api/v1/builds/{_BUILD_ID}/events",
        "trace": f"/api/v1/builds/{_BUILD_ID}/trace",
    }
)


def _after(seconds: float) -> datetime:
    return _AT + timedelta(seconds=seconds)


accepted = BuildAccepted(
    execution_id=_BUILD_ID,
    status="Queued",
    queue_position=1,
    estimated_start_time=_after(2),
    estimated_duration=35,
    links=_LINKS,
)
stored = UploadStored(
    job_id=_UPLOAD_ID,
    kind=UploadKind.TAR_GZ,
    filename="src.tar.gz",
    size_bytes=48_213,
    sha256=_SHA256,
    expires_at=_after(86_400),
)
build = BuildStatus(
    execution_id=_BUILD_ID,
    project_name="my-project",
    configuration="Release",
    target_pool="Linux",
    priority="Normal",
    strategy="Incremental",
    strategy_used="Clean",
    status="Succeeded",
    current_stage=None,
    created_at=_AT,
    start_time=_after(1),
    end_time=_after(36),
    duration=35,
    queue_position=None,
    stages=(
        StageView(name="Fetch", status="Succeeded", start_time=_after(1), duration=1.2),
        StageView(name="Test", status="Succeeded", start_time=_after(20), duration=11),
        StageView(name="Publish", status="Skipped", reason="Nothing to publish."),
    ),
    agent=AgentOfBuild(name="linux-1-1", hostname="builder-7", target_type="Linux"),
    toolchain="python",
    toolchain_why="pyproject.toml was found.",
    tests=TestSummary(total=12, passed=12, duration_seconds=1.75),
    rows=None,
    artifacts_count=1,
    reason="The build succeeded.",
    reason_code="succeeded",
    attempts=(
        AttemptView(
            job_id=_JOB_ID,
            number=1,
            agent="linux-1-1",
            started_at=_after(1),
            ended_at=_after(36),
            outcome="Succeeded",
            reason_code="succeeded",
            reason="The build succeeded.",
        ),
    ),
    source=SourceView(type="upload", kind=UploadKind.TAR_GZ, sha256=_SHA256, size_bytes=48_213, filename="src.tar.gz"),
    metadata={"commit": "4f2a9c1"},
    warnings=("The strategy Incremental is not built yet; the build ran as Clean.",),
    links=_LINKS,
)
builds = BuildList(
    builds=(
        BuildSummary(
            execution_id=_BUILD_ID,
            project_name="my-project",
            target_pool="Linux",
            priority="Normal",
            status="Running",
            created_at=_AT,
            start_time=_after(1),
            duration=12.5,
            toolchain="python",
            rows=None,
            reason="",
            reason_code=None,
        ),
    ),
    next_cursor=None,
)
dead_letter = DeadLetterView(
    execution_id=_BUILD_ID,
    project_name="my-project",
    target_pool="linux",
    status="Failed",
    reason="Its worker died 3 times; the last time: Agent linux-1-3 was not heard of for 30 s.",
    reason_code="worker_lost",
    attempts=3,
    rows=None,
    created_at=_AT,
    dead_at=_after(97),
    resolution=None,
    resolved_at=None,
    resolved_by="",
    note="",
    requeued_as=None,
)
dead_letters = DeadLetterList(dead=(dead_letter,), next_cursor=None)
dead_letter_detail = DeadLetterDetail(
    letter=dead_letter,
    build=build.model_copy(update={"status": "Failed", "reason": dead_letter.reason, "reason_code": "worker_lost"}),
    events=(
        BuildEvent(
            build_id=_BUILD_ID,
            seq=9,
            type="build_dead",
            at=_after(97),
            data={"reasonCode": "worker_lost", "reason": dead_letter.reason},
        ),
    ),
    log=("make: building", "Killed"),
)
requeued = RequeuedList(
    requeued=(Requeued(execution_id="01938a40-0c1b-7d8e-9f00-123456789abc", retry_of=_BUILD_ID),),
    refused=(),
    next_cursor=None,
)
annotation = Annotation(
    context="coverage", style="Warning", text="Coverage fell from 91 % to 88 %.", at=_after(40), requester="local"
)
annotation_list = AnnotationList(annotations=(annotation,))
diagnostics = DiagnosticList(
    diagnostics=(
        StageDiagnostic(
            stage="Build",
            job_id="01938a2e-7c1c-7d8e-9f00-123456789abc",
            severity="error",
            file="src/main.c",
            line=12,
            column=5,
            message="'total' undeclared (first use in this function)",
        ),
    )
)
tests = TestPage(
    total=12,
    passed=11,
    failed=1,
    skipped=0,
    duration_seconds=1.75,
    suites=(
        TestSuite(name="tests.test_sizes", passed=9, failed=1, duration_seconds=1.5),
        TestSuite(name="tests.test_units", passed=2, duration_seconds=0.25),
    ),
    cases=(
        TestCase(
            name="test_rounds_half_up",
            suite="tests.test_sizes",
            message="assert 2 == 3",
            place="tests/test_sizes.py:14",
            duration_seconds=0.02,
        ),
        TestCase(name="test_names_units", status="passed", suite="tests.test_units", duration_seconds=0.12),
    ),
    cases_left_out=10,
    next_cursor=None,
)
cancelled = CancelAccepted(execution_id=_BUILD_ID, status="Cancelling")
trace = Trace(
    execution_id=_BUILD_ID,
    spans=(
        TraceSpan(name="queued", start=_AT, end=_after(1), attributes={}),
        TraceSpan(name="Fetch", start=_after(1), end=_after(2.2), attributes={"agent": "linux-1-1", "attempt": "1"}),
    ),
)
rows = RowList(
    rows=(
        RowResult(row=1, ok=True, result={"total": 12.5}),
        RowResult(row=2, ok=False, error="The column amount is no number: 'x'."),
    ),
    next_cursor="2",
)
artifacts = ArtifactList(
    artifacts=(
        ArtifactView(
            id=_ARTIFACT_ID,
            name="my_project-1.0-py3-none-any.whl",
            path="dist/my_project-1.0-py3-none-any.whl",
            size_bytes=10_240,
            content_type="application/zip",
            sha256_hash=_SHA256,
            created_at=_after(35),
            download_url=f"/api/v1/artifacts/{_ARTIFACT_ID}/download",
        ),
    )
)
event = BuildEvent(build_id=_BUILD_ID, seq=4, type="stage_started", at=_after(1), data={"stage": "Fetch"})
event_text = f"id: {event.seq}\ndata: {event.encode().decode()}\n\n"
farm_event = FarmEvent(id="20480731", project="my-project", pool="linux", **dict(event))
farm_event_text = f"id: {farm_event.id}\ndata: {farm_event.encode().decode()}\n\n"
log_text = "Fetching src.tar.gz\nSuccessfully built my_project-1.0-py3-none-any.whl\n"
joined = AgentJoined(name="linux-1-1", lease_seconds=30, heartbeat_seconds=10)
agent = AgentView(
    name="linux-1-1",
    pool="linux",
    state="Busy",
    hostname="builder-7",
    pid=4711,
    version="0.1.0",
    capabilities=Capabilities(os="linux", arch="x86_64", cores=4, tools={"python": "3.11.7"}),
    health=AgentHealth(load_1m=0.7, memory_free_bytes=3 * 2**30, disk_free_bytes=40 * 2**30),
    joined_at=_AT,
    seen_at=_after(20),
    build_id=_BUILD_ID,
    job_id=_JOB_ID,
)
agents = AgentList(agents=(agent,))
agent_health = AgentHealthAnswer(agent=agent, healthy=True, seen_seconds_ago=3.2, reason="")
claim = ClaimAnswer(verdict="none", reason="No job is ready in this pool.")
pools = PoolList(
    pools=(
        PoolView(
            name="linux",
            ready=41,
            waiting=3,
            leases=5,
            oldest_wait_seconds=7.5,
            agents={"busy": 5},
            generations={1: 1, 2: 1, 3: 1, 4: 1, 5: 1},
            job_seconds=34.2,
        ),
    ),
    at=_AT,
)
paused_pool = pools.pools[0].model_copy(
    update={
        "ready": 0,
        "waiting": 44,
        "oldest_wait_seconds": None,
        "intake": PoolIntake(paused=True, reason="The disks are changed.", by="local", since=_AT),
    }
)
pool_events = PoolEventList(
    events=(
        PoolEvent(seq=1, pool="linux", type="pool_paused", at=_AT, reason="The disks are changed.", requester="local"),
    )
)
health = HealthAnswer(
    status="ok", version="0.1.0", checks=(CheckView(name="store", ok=True, detail="answered in 2 ms"),)
)

registration_request = {
    "name": "linux-1-1",
    "pool": "linux",
    "hostname": "builder-7",
    "pid": 4711,
    "version": "0.1.0",
    "capabilities": {"os": "linux", "arch": "x86_64", "cores": 4, "tools": {"python": "3.11.7"}},
    "health": {"load1M": 0.7},
}
claim_request = {"claimId": _JOB_ID, "pool": "linux"}
drain_request = {"reason": "maintenance"}
requeue_request = {"project": "my-project", "reasonCode": "worker_lost", "limit": 100}
pause_request = {"reason": "The disks are changed."}
priority_request = {"priority": "High"}
retry_request = {"failedOnly": True}
annotation_request = {"context": "coverage", "style": "warning", "text": "Coverage fell from 91 % to 88 %."}
drop_request = {"reason": "The project is gone."}
full_build_request = {
    "job": {
        "projectName": "my-project",
        "repositoryUrl": "https://github.com/someone/my-project.git",
        "gitRef": "main",
        "configuration": "Release",
        "runTests": True,
        "timeoutMinutes": 30,
        "metadata": {"ticket": "AB-12"},
    },
    "targetPool": "Linux",
    "strategy": "Incremental",
    "priority": "High",
}
short_build_request = {
    "project_name": "my-project",
    "git_url": "https://github.com/someone/my-project.git",
    "branch": "main",
}
start_request = {"job": {"projectName": "my-project", "timeoutMinutes": 30}, "priority": "High"}
