"""One attempt from its claim to its end: whatever happens in between, there is an ending with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from buildyard.contracts.builds import (
    ArtifactRecord,
    BatchFound,
    JobKind,
    Outcome,
    ReasonCode,
    RowResult,
    StageName,
    StageStatus,
    TestSummary,
    UploadKind,
    UploadSource,
)
from buildyard.contracts.messages import JobFinished, StageFinished, StageStarted
from buildyard.contracts.needs import Needs
from buildyard.errors import BuildyardError, Overloaded
from buildyard.telemetry import logger
from worker.attempt import DISK_IS_FULL, Attempt, needs_workspace
from worker.batch.collect import collect_rows
from worker.batch.prepare import prepare_batch
from worker.batch.row_sink import RowSink
from worker.batch.rows_job import run_rows
from worker.pipeline import (
    COMMAND_STAGES,
    SUCCEEDED,
    Ending,
    StageResult,
    attempt_ending,
    disk_full,
    error_ending,
    failed,
    hand_on,
    missing_tools,
    rest_skipped,
    skip_by_request,
    skipped,
    stop_ending,
    stopped,
    worker_error,
)
from worker.stages.commands import CommandStage
from worker.stages.project import Project, understand
from worker.stages.publish import publish
from worker.stages.source import fetch_source
from worker.stages.test_list import store_tests

Work = Callable[[], Awaitable[Ending | None]]


@dataclass
class Findings:
    """What an attempt found so far; it becomes the job's last report."""

    toolchain: str = ""
    toolchain_why: str = ""
    tests: TestSummary | None = None
    tests_key: str = ""
    artifacts: tuple[ArtifactRecord, ...] = ()
    rows: tuple[RowResult, ...] = ()
    found: BatchFound | None = None
    needs: Needs | None = None
    results: list[StageResult] = field(default_factory=list)


class Runner:
    """Runs one attempt. `run` returns its last report and never raises, except when it is itself cancelled."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._spec = attempt.spec
        self._log = logger("runner")
        self._findings = Findings()
        self._project: Project | None = None
        self._tasks_done: set[str] = set()

    async def run(self) -> JobFinished:
        """Work the job off by its kind."""
        work = {JobKind.BUILD: self._build, JobKind.ROWS: self._rows, JobKind.COLLECT: self._collect}[self._spec.kind]
        self._attempt.log.open()

        async def in_workspace() -> Ending:
            if needs_workspace(self._spec):
                await asyncio.to_thread(self._attempt.workspace.make)
            return await work()

        ending = await self._guarded(StageName.FETCH, in_workspace) or SUCCEEDED
        ending = await self._close_log(ending)
        return self._finished(ending)

    # ---------------------------------------------------------------- kinds of jobs

    async def _build(self) -> Ending:
        await self._stage(StageName.FETCH, self._fetch)
        if self._findings.found is not None and self._ending is SUCCEEDED:
            return Ending(Outcome.SUCCEEDED, ReasonCode.SUCCEEDED, f"The batch has {self._findings.found.rows:,} rows.")
        for stage in COMMAND_STAGES:
            if self._ending is SUCCEEDED:
                await self._commands(stage)
        if self._ending is SUCCEEDED:
            await self._publish()
        if self._ending is not SUCCEEDED:
            for rest in rest_skipped(self._findings.results[-1]):
                self._tell_finished(rest)
        return self._ending

    async def _rows(self) -> Ending:
        assert self._spec.rows is not None
        sink = RowSink(self._attempt)
        part = self._spec.rows

        async def work() -> Ending:
            return await run_rows(self._attempt, part, sink)

        ending = await self._guarded(StageName.BUILD, work)
        self._findings.rows = await sink.rest()
        return ending or SUCCEEDED

    async def _collect(self) -> Ending:
        async def work() -> None:
            self._findings.artifacts = await collect_rows(self._attempt)

        await self._stage(StageName.PUBLISH, work)
        return self._ending

    # ---------------------------------------------------------------- stages

    async def _fetch(self) -> Ending | None:
        if (unfetched := await fetch_source(self._attempt)) is not None:
            return unfetched
        source = self._spec.source
        if isinstance(source, UploadSource) and source.kind is UploadKind.CSV:
            self._findings.toolchain, self._findings.toolchain_why = "batch", "batch, because the upload is a CSV."
            return await self._prepare(None)
        found = await understand(self._attempt)
        if isinstance(found, Ending):
            return found
        self._project = found
        self._findings.toolchain, self._findings.toolchain_why = found.choice.detection.toolchain, found.choice.why
        if found.lacks:
            self._findings.needs = found.context.config.needs
            return hand_on(found.lacks)
        if found.is_batch:
            return await self._prepare(found)
        return missing_tools(found.choice.detection.needs, frozenset(self._attempt.tools.paths))

    async def _prepare(self, project: Project | None) -> Ending | None:
        prepared = await prepare_batch(self._attempt, project)
        if isinstance(prepared, Ending):
            return prepared
        if prepared.handler == "call" and self._findings.toolchain != "call":
            self._findings.toolchain = "call"
            self._findings.toolchain_why = "call, because the CSV's rows have the column url."
        self._findings.found = prepared
        return None

    async def _commands(self, stage: StageName) -> None:
        assert self._project is not None
        project = self._project
        planned: list[CommandStage] = []

        async def plan() -> None:
            planned.append(CommandStage(self._attempt, project, stage, frozenset(self._tasks_done)))

        refused = await self._guarded(stage, plan)
        if refused is None and planned[0].plan.skip_reason:
            self._finish_stage(skipped(stage, planned[0].plan.skip_reason))
            return
        self._tell_started(stage)
        if refused is not None:
            self._finish_stage(failed(stage, refused))
            return
        result: list[StageResult] = []

        async def work() -> None:
            result.append(await planned[0].run())
            if (tests := planned[0].tests) is not None:
                self._findings.tests = tests.summary
                self._findings.tests_key = await store_tests(self._attempt, tests) if tests.cases else ""

        ending = await self._guarded(stage, work)
        self._tasks_done.update(planned[0].plan.tasks)
        self._finish_stage(self._result(stage, ending) if ending is not None else result[0])

    async def _publish(self) -> None:
        assert self._project is not None
        project = self._project
        reason = skip_by_request(StageName.PUBLISH, self._spec.properties)
        if reason:
            self._finish_stage(skipped(StageName.PUBLISH, reason))
            return

        async def work() -> None:
            self._findings.artifacts = await publish(self._attempt, project)

        await self._stage(StageName.PUBLISH, work)

    async def _stage(self, stage: StageName, work: Work) -> None:
        """Run a stage of the worker's own; `work` returns an Ending, or None when it went well."""
        self._tell_started(stage)
        self._finish_stage(self._result(stage, await self._guarded(stage, work)))

    async def _guarded(self, stage: StageName, work: Work) -> Ending | None:
        """The ending that `work` comes to, by itself or by an error; there is none that has no ending."""
        try:
            ending = await work()
        except Overloaded as error:
            ending = disk_full(stage) if stage is StageName.FETCH else error_ending(stage, error)
        except BuildyardError as error:
            ending = error_ending(stage, error)
        except Exception as error:  # noqa: BLE001 - what nobody thought of ends the attempt, with a traceback in our log
            if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
                ending = disk_full(stage)
            else:
                self._log.exception("unexpected error", job=self._spec.job_id, stage=stage.value)
                ending = worker_error(type(error).__name__)
        return self._stop_ending() or ending

    def _result(self, stage: StageName, ending: Ending | None) -> StageResult:
        if ending is None:
            return StageResult(stage, StageStatus.SUCCEEDED)
        handed_on = ending.outcome is Outcome.HANDED_BACK
        return stopped(stage, ending) if handed_on or self._attempt.stop.cause is not None else failed(stage, ending)

    # ---------------------------------------------------------------- endings and reports

    @property
    def _ending(self) -> Ending:
        return attempt_ending(tuple(self._findings.results))

    def _stop_ending(self) -> Ending | None:
        cause = self._attempt.stop.cause
        return None if cause is None else stop_ending(cause, self._spec.timeout_seconds)

    async def _close_log(self, ending: Ending) -> Ending:
        log = self._attempt.log
        try:
            if ending.outcome is not Outcome.SUCCEEDED:
                await self._attempt.note(self._last_stage(), ending.reason)
            await log.close()
        except Exception:  # noqa: BLE001 - the job's own ending stands, whatever becomes of its log
            self._log.exception("the log could not be closed", job=self._spec.job_id)
        if not log.lost:
            return ending
        return Ending(
            ending.outcome, ending.code, f"{ending.reason} {log.lost:,} lines of its log could not be stored."
        )

    def _last_stage(self) -> StageName:
        return self._findings.results[-1].stage if self._findings.results else StageName.FETCH

    def _tell_started(self, stage: StageName) -> None:
        self._attempt.reports.send(StageStarted(**self._whose(), stage=stage))

    def _finish_stage(self, result: StageResult) -> None:
        self._findings.results.append(result)
        self._tell_finished(result)

    def _tell_finished(self, result: StageResult) -> None:
        self._attempt.reports.send(
            StageFinished(
                **self._whose(),
                stage=result.stage,
                status=result.status,
                warnings=result.warnings,
                errors=result.errors,
                reason=result.reason,
                diagnostics=result.diagnostics,
            )
        )

    def _finished(self, ending: Ending) -> JobFinished:
        findings = self._findings
        good = ending.outcome is Outcome.SUCCEEDED
        return JobFinished(
            **self._whose(),
            outcome=ending.outcome,
            reason_code=ending.code,
            reason=ending.reason,
            toolchain=findings.toolchain,
            toolchain_why=findings.toolchain_why,
            tests=findings.tests,
            tests_key=findings.tests_key,
            artifacts=findings.artifacts if good else (),
            rows=findings.rows,
            found=findings.found if good else None,
            needs=findings.needs if ending.outcome is Outcome.HANDED_BACK else None,
            log_lines=self._attempt.log.lines,
        )

    def _whose(self) -> dict[str, object]:
        spec, attempt = self._spec, self._attempt
        return {
            "build_id": spec.build_id,
            "job_id": spec.job_id,
            "attempt": spec.attempt,
            "agent": attempt.agent,
            "at": attempt.clock.now(),
        }
