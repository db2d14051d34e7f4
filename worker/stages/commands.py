"""Running what a toolchain says: the commands of restore, build, test and package."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

from buildyard.contracts.builds import ReasonCode, StageName, StageStatus
from buildyard.errors import InvalidRequest
from worker.attempt import Attempt
from worker.globs import matches
from worker.log_text import without_colours
from worker.pipeline import (
    Ending,
    StageResult,
    command_ending,
    disk_full,
    ending_of_tests,
    failed,
    plan_stage,
    skipped,
    stage_too_long,
    stop_ending,
    stopped,
)
from worker.process import EndedBy, ProcessEnd, RawLines, run
from worker.stages.files import read_regular, regular_files
from worker.stages.project import Project
from worker.toolchains.contract import Command
from worker.toolchains.diagnostics import Diagnostics
from worker.toolchains.printed import Printed, reader_of
from worker.toolchains.reports import MAX_REPORT_BYTES, ReportFile, summarise
from worker.toolchains.results import Results, command_as_test, merge

_LITTLE_ROOM = 16 * 1024 * 1024
_SHOWN_COMMAND = 1000
_MAX_REPORTS = 1000


class CommandStage:
    """One stage of commands; `run` does it, `tests` tells afterwards what the test stage found."""

    def __init__(
        self, attempt: Attempt, project: Project, stage: StageName, done: frozenset[str] = frozenset()
    ) -> None:
        """Plan the stage; `done` are the tasks of `buildyard.toml` that earlier stages ran."""
        self._attempt = attempt
        self._project = project
        self._stage = stage
        self._problems: Counter[str] = Counter()
        self._cases: list[Results] = []
        self._untold: list[Results] = []
        self._printed: Printed | None = None
        self._minutes = project.context.config.stage(stage).timeout_minutes
        self._deadline: float | None = None
        src = attempt.workspace.src
        self._diagnostics = Diagnostics(project.choice.toolchain.compilers, (str(src), str(src.resolve())))
        self.plan = plan_stage(stage, project.choice.toolchain, project.context, done)
        self.tests: Results | None = None

    async def run(self) -> StageResult:
        """Run the stage's commands in order, to the first that fails; failed tests do not keep further tests back."""
        if self.plan.skip_reason:
            return skipped(self._stage, self.plan.skip_reason)
        return replace(await self._work(), diagnostics=self._diagnostics.found())

    async def _work(self) -> StageResult:
        if self._minutes is not None:
            self._deadline = self._attempt.clock.monotonic() + self._minutes * 60
        ending: Ending | None = None
        for command in self.plan.commands:
            found = await self._run(command)
            if self._attempt.stop.cause is not None:
                return stopped(self._stage, stop_ending(self._attempt.stop.cause, self._attempt.spec.timeout_seconds))
            ending = ending or found
            if found is not None and found.code is not ReasonCode.TESTS_FAILED:
                ending = found
                break
        if self._stage is StageName.TEST:
            self.tests = await self._results()
            ending = ending_of_tests(self.tests.summary if self.tests else None, ending)
        warnings, errors = (
            max(self._problems[severity], self._diagnostics.count(severity)) for severity in ("warning", "error")
        )
        if ending is not None:
            return failed(self._stage, ending, warnings, errors)
        return StageResult(self._stage, StageStatus.SUCCEEDED, warnings, errors)

    async def _run(self, command: Command) -> Ending | None:
        attempt = self._attempt
        words = shlex.join(command.argv)
        shown = words if len(words) <= _SHOWN_COMMAND else f"{words[:_SHOWN_COMMAND]}…"
        await attempt.log.note(self._stage, shown if command.cwd == "." else f"{shown}  (in {command.cwd})")
        self._printed = reader_of(command.prints) if command.prints else None
        self._diagnostics.begin(command.cwd)
        began = attempt.clock.monotonic()
        left = None if self._deadline is None else max(0.0, self._deadline - began)
        end = await run(
            attempt.launch(command.argv, await asyncio.to_thread(self._folder, command), command.env, left),
            self._sink,
            attempt.stop,
        )
        if end.ended_by is EndedBy.TIMED_OUT and self._minutes is not None:
            return stage_too_long(self._stage, self._minutes)
        ending = command_ending(command, end)
        printed = self._printed.results() if self._printed is not None else None
        if printed is not None and (printed.summary.total or not command.test_case):
            self._cases.append(printed)
        elif command.test_case:
            case = self._as_test(command, end, attempt.clock.monotonic() - began)
            (self._cases if printed is None else self._untold).append(case)
        if ending is not None and self._no_room_left(end):
            return disk_full(self._stage)
        return ending

    async def _sink(self, lines: RawLines) -> None:
        toolchain, printed = self._project.choice.toolchain, self._printed
        if printed is not None:
            lines = [(shown, dropped) for raw, dropped in lines if (shown := printed.shown(raw)) is not None]
        for text in await self._attempt.log.write(self._stage, lines):
            plain = without_colours(text)
            if (problem := toolchain.count_problems(plain)) is not None:
                self._problems[problem] += 1
            self._diagnostics.take(plain)
            if printed is not None:
                printed.take(plain)

    def _folder(self, command: Command) -> Path:
        src = self._attempt.workspace.src.resolve()
        folder = (src / command.cwd).resolve()
        if not folder.is_relative_to(src):
            raise InvalidRequest(f"The folder `{command.cwd}` lies outside the source.")
        return folder

    def _as_test(self, command: Command, end: ProcessEnd, seconds: float) -> Results:
        passed = end.exit_code in command.ok_exit_codes
        message = "\n".join(without_colours(line) for line in end.tail)
        return command_as_test(command.test_case, passed=passed, message=message, duration_seconds=seconds)

    def _no_room_left(self, end: ProcessEnd) -> bool:
        free = self._attempt.workspace.free_bytes()
        return (free is not None and free < _LITTLE_ROOM) or any("No space left on device" in line for line in end.tail)

    async def _results(self) -> Results | None:
        reports, problems = await asyncio.to_thread(self._read_reports)
        for problem in problems:
            await self._attempt.log.note(self._stage, problem)
        told = reports is not None and reports.summary.total > 0
        every = [*([reports] if reports else []), *self._cases, *(() if told else self._untold)]
        if not every:
            return None
        results = merge(every)
        summary = results.summary
        counts = f"{summary.total} tests: {summary.passed} passed, {summary.failed} failed, {summary.skipped} skipped"
        await self._attempt.log.note(self._stage, counts)
        return results

    def _read_reports(self) -> tuple[Results | None, tuple[str, ...]]:
        globs = self._project.choice.toolchain.test_reports(self._project.context)
        workspace = self._attempt.workspace
        found = [
            ReportFile(glob.kind, path, content)
            for place, root in (("out", workspace.out), ("source", workspace.src))
            if any(glob.place == place for glob in globs)
            for path, file in regular_files(root)
            for glob in globs
            if glob.place == place and matches(glob.pattern, path)
            if (content := _content(file)) is not None
        ]
        return summarise(found[:_MAX_REPORTS])


def _content(file: Path) -> bytes | None:
    try:
        return read_regular(file, MAX_REPORT_BYTES)
    except OSError:
        return None
