"""One example of every versioned contract, with every field filled, for the golden files."""

from __future__ import annotations

from datetime import UTC, datetime

from buildyard.contracts import agents, builds, diagnostics, events, messages, needs, scaling, testing
from buildyard.contracts.wire import Value

AT = datetime(2026, 11, 21, 9, 30, 0, 250_000, tzinfo=UTC)
BUILD, JOB, OTHER = (f"0193f0a0-0000-7000-8000-00000000000{number}" for number in (1, 2, 3))
AGENT = "linux-1-1"
SHA256 = "0123456789abcdef" * 4

HEALTH = agents.AgentHealth(load_1m=0.5, memory_free_bytes=1, disk_free_bytes=2, agent_memory_bytes=3)
ROWS = (
    builds.RowResult(row=1, ok=True, result={"values": {"name": "Ada"}, "issues": []}),
    builds.RowResult(row=2, ok=False, error="The e-mail address is empty."),
)
TESTS = builds.TestSummary(
    total=3,
    passed=1,
    failed=1,
    skipped=1,
    duration_seconds=1.5,
    failures=(builds.TestCase(name="t", suite="s", message="m", place="t.py:1", duration_seconds=0.25),),
)
ARTIFACT = builds.ArtifactRecord(
    name="a.whl", path="dist/a.whl", size_bytes=9, content_type="application/zip", sha256=SHA256, key="builds/a.whl"
)
FOUND = builds.BatchFound(
    rows_key="builds/rows.jsonl",
    rows=2,
    columns=("name", "email"),
    handler="builtin",
    chunks=(builds.RowChunk(span=builds.RowSpan(first=1, count=2), byte_start=0, byte_end=80),),
)
NEEDS = needs.Needs(tools={"dotnet": ">=8"}, os="linux", arch="x86_64", cores=2, memory="4 GiB", disk="20 GiB")
SAID = diagnostics.Diagnostic(severity="error", file="a.c", line=3, column=5, code="E1", message="m")
SPEC = builds.JobSpec(
    job_id=JOB,
    build_id=BUILD,
    attempt=2,
    kind=builds.JobKind.ROWS,
    pool="linux",
    priority=builds.Priority.HIGH,
    source=builds.UploadSource(
        upload_id=OTHER,
        key="uploads/1",
        kind=builds.UploadKind.TAR_GZ,
        sha256=SHA256,
        size_bytes=5,
        filename="a.tar.gz",
    ),
    properties=builds.BuildProperties(
        project_name="my-project",
        repository_url="https://github.com/a/b.git",
        git_ref="main",
        solution_path="a.sln",
        target_framework="net8.0",
        runtime_identifier="linux-x64",
        build_properties={"Deterministic": "true"},
        timeout_minutes=30,
        metadata={"team": "core"},
        toolchain="python",
        rows_per_job=10,
        needs=NEEDS,
    ),
    strategy=builds.Strategy.CLEAN,
    force_clean=True,
    timeout_seconds=1800,
    lease_seconds=30,
    output_prefix="builds/1/jobs/2/2/",
    rows=builds.RowsPart(
        span=builds.RowSpan(first=1, count=2),
        key="builds/rows.jsonl",
        byte_start=0,
        byte_end=80,
        handler="program",
        done=(1,),
        sharers=2,
    ),
)
FACT = {"build_id": BUILD, "job_id": JOB, "attempt": 2, "agent": AGENT, "at": AT}
READING = scaling.Reading(value=41, source="producer", age_seconds=0.5, trust=scaling.Trust.TRUSTED)
UNKNOWN = scaling.Reading(source="amqp passive declare", cause="The queue is missing.")

EXAMPLES: tuple[Value, ...] = (
    SPEC,
    agents.AgentJoined(name=AGENT, lease_seconds=30, heartbeat_seconds=10),
    agents.ClaimAnswer(verdict="job", job=SPEC, reason="r"),
    events.BuildEvent(build_id=BUILD, seq=1, type="stage_started", at=AT, data={"stage": "fetch"}),
    events.FarmEvent(
        id="7", project="p", pool="linux", build_id=BUILD, seq=1, type="stage_started", at=AT, data={"stage": "fetch"}
    ),
    messages.Ticket(ticket_id=OTHER, pool="linux"),
    messages.StageStarted.model_validate({**FACT, "stage": "build"}),
    messages.StageFinished.model_validate(
        {
            **FACT,
            "stage": "test",
            "status": "failed",
            "warnings": 1,
            "errors": 2,
            "reason": "r",
            "diagnostics": (SAID,),
        }
    ),
    messages.Heartbeat.model_validate(FACT),
    messages.LogStored.model_validate(
        {**FACT, "key": "builds/log/1.jsonl", "first": 1, "last": 9, "size_bytes": 99, "stages": ["fetch", "build"]}
    ),
    messages.RowsDone.model_validate({**FACT, "rows": ROWS}),
    messages.JobFinished.model_validate(
        {
            **FACT,
            "outcome": "failed",
            "reason_code": "tests_failed",
            "reason": "r",
            "toolchain": "python",
            "toolchain_why": "pyproject.toml",
            "tests": TESTS,
            "tests_key": "builds/tests.jsonl",
            "artifacts": (ARTIFACT,),
            "rows": ROWS,
            "found": FOUND,
            "needs": NEEDS,
            "log_lines": 9,
        }
    ),
    testing.TestListHead(
        suites=(testing.TestSuite(name="s", passed=1, failed=1, skipped=1, duration_seconds=1.5),), cases=3
    ),
    messages.AgentHeartbeat(agent=AGENT, at=AT, health=HEALTH),
    messages.AgentLeft(agent=AGENT, at=AT, reason="r"),
    messages.LogLines(
        build_id=BUILD,
        job_id=JOB,
        attempt=2,
        lines=(messages.LogLine(n=1, at=AT, stage=builds.StageName.BUILD, text="\x1b[32mok\x1b[0m"),),
    ),
    messages.CancelJob(job_id=JOB, attempt=2),
    messages.AttemptOver(job_id=JOB, attempt=2, reason="r"),
    messages.DrainAgent(agent=AGENT, reason="r"),
    messages.Ring(pool="linux"),
    scaling.Decision(
        number=1,
        at=AT,
        woken_by="doorbell",
        observed=scaling.PoolObserved(
            pool="linux",
            policy=scaling.ScalingPolicy(max_workers=2),
            ready=READING,
            leases=READING,
            oldest_wait_seconds=1.5,
            queue_ready=READING,
            queue_unacked=UNKNOWN,
            queue_total=UNKNOWN,
            workers=(
                scaling.WorkerView(
                    name=AGENT,
                    slot=1,
                    generation=1,
                    state=scaling.WorkerState.EXITED,
                    age_seconds=9,
                    exit_code=4,
                    pending_code=scaling.PendingCode.IMAGE_PULL,
                    pending_reason="r",
                ),
            ),
            workers_cause="c",
            quiet_seconds=3,
            generations={1: 1},
            failed_starts=1,
            seconds_since_failed_start=2,
            job_seconds=7.5,
            suiting=scaling.PoolSuiting(
                ready_for_idle=1,
                idle=2,
                idle_for_ready=1,
                held=3,
                on_trial=4,
                tried=5,
                kinds=(scaling.NeedsKind(needs="go", ready=4, idle=0, busy=1, next="trial"),),
            ),
            learned_start=scaling.LearnedStart(seconds=7.5, workers=3, age_seconds=9, source="s"),
            farm=scaling.FarmPlaces(
                max_workers=9,
                weight=2,
                others=(
                    scaling.PoolPlaces(
                        name="docker", held=3, wanted=2, leaving=1, weight=0.5, starving=True, seen=True
                    ),
                ),
            ),
        ),
        plan=scaling.Plan(
            start=("linux-1-2",),
            drain=(AGENT,),
            code=scaling.DecisionCode.BURST,
            reason="r",
            formula="1 - 0 = 1",
            clamps=("max_workers 2 - present 1 = 1",),
        ),
        failures=("f",),
        repeats=3,
        until=AT,
    ),
)
