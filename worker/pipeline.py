"""The pipeline's rules: which stages in which order, when one is skipped, and what an attempt's end is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from buildyard.contracts.builds import BuildProperties, Outcome, ReasonCode, StageName, StageStatus, TestSummary
from buildyard.contracts.diagnostics import Diagnostic
from buildyard.errors import (
    BuildyardError,
    Forbidden,
    HostileArchive,
    InvalidRequest,
    InvalidUpload,
    NotFound,
    TemporaryError,
    TooLarge,
)
from worker.toolchains.contract import BuildContext, Command, StagePlan, Toolchain

STAGES: tuple[StageName, ...] = tuple(StageName)
COMMAND_STAGES = (StageName.RESTORE, StageName.BUILD, StageName.TEST, StageName.PACKAGE)
"""The stages that run a toolchain's commands; Fetch and Publish are the worker's own."""

_NAMED_FAILURES = 3


class StopCause(Enum):
    """Why an attempt is stopped before its end."""

    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    HANDED_BACK = "handed_back"
    CUT_OFF = "cut_off"
    """Neither broker nor producer could be reached for too long, or this process was frozen beyond its lease."""
    REFUSED = "refused"
    """The producer refused what the attempt reported: it is over."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ends: the outcome, a code of the closed list, and one sentence."""

    outcome: Outcome
    code: ReasonCode
    reason: str


@dataclass(frozen=True)
class StageResult:
    """How one stage ended; `ending` is present exactly when it ends the attempt too."""

    stage: StageName
    status: StageStatus
    warnings: int = 0
    errors: int = 0
    reason: str = ""
    ending: Ending | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


class CommandEnd(Protocol):
    """What the rules need to know of an ended child process."""

    @property
    def exit_code(self) -> int | None:
        """None when a signal ended it."""

    @property
    def signal_name(self) -> str:
        """`SIGSEGV`, or empty."""

    @property
    def tail(self) -> tuple[str, ...]:
        """Its last lines."""


SUCCEEDED = Ending(Outcome.SUCCEEDED, ReasonCode.SUCCEEDED, "All stages succeeded.")


def stop_ending(cause: StopCause, timeout_seconds: float) -> Ending:
    """The ending of an attempt that was stopped."""
    if cause is StopCause.CANCELLED:
        return Ending(Outcome.CANCELLED, ReasonCode.CANCELLED, "The build was cancelled.")
    if cause is StopCause.TIMED_OUT:
        minutes = f"{timeout_seconds / 60:.3g}"
        unit = "minute" if minutes == "1" else "minutes"
        return Ending(
            Outcome.TIMED_OUT, ReasonCode.TIMED_OUT, f"The build was stopped at its time limit of {minutes} {unit}."
        )
    why = {
        StopCause.HANDED_BACK: "The agent had to leave, so the job went back to the queue.",
        StopCause.CUT_OFF: "The agent was cut off from the farm for too long, so it stopped the job.",
        StopCause.REFUSED: "The producer had ended this attempt, so the agent stopped the job.",
    }[cause]
    return Ending(Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, why)


def stopped(stage: StageName, ending: Ending) -> StageResult:
    """The result of a stage that was running when the attempt was stopped."""
    status = StageStatus.FAILED if ending.outcome is Outcome.TIMED_OUT else StageStatus.CANCELLED
    return StageResult(stage, status, reason=ending.reason, ending=ending)


def failed(stage: StageName, ending: Ending, warnings: int = 0, errors: int = 0) -> StageResult:
    """The result of a stage that ends the attempt."""
    return StageResult(stage, StageStatus.FAILED, warnings, errors, ending.reason, ending)


def skipped(stage: StageName, reason: str) -> StageResult:
    """The result of a stage that has nothing to do."""
    return StageResult(stage, StageStatus.SKIPPED, reason=reason)


def skip_by_request(stage: StageName, properties: BuildProperties) -> str:
    """Why the request itself leaves a stage out; empty when it does not.

    `createPackages` is no such reason: many toolchains make their packages on the way, so each decides in its plan.
    """
    if stage is StageName.TEST and not properties.run_tests:
        return "The request asks for no tests."
    if stage is StageName.PUBLISH and not properties.publish_artifacts:
        return "The request asks for no artifacts."
    return ""


def plan_stage(
    stage: StageName, toolchain: Toolchain, context: BuildContext, done: frozenset[str] = frozenset()
) -> StagePlan:
    """What a stage runs: the request first, then `buildyard.toml`, then the toolchain.

    Tasks that the stage needs come first, but for those that are `done` already; they run also where the toolchain has
    nothing to do.
    """
    reason = skip_by_request(stage, context.properties)
    own = context.config.stage(stage)
    if reason or own.skip:
        return StagePlan(stage, skip_reason=reason or "buildyard.toml skips it.")
    if own.commands:
        plan = StagePlan(stage, tuple(_own_command(stage, argv, context) for argv in own.commands))
    else:
        plan = toolchain.plan(stage, context)
    tasks = tuple(name for name in context.config.tasks_before(stage) if name not in done)
    if not tasks and not plan.commands:
        return StagePlan(stage, skip_reason=plan.skip_reason or "There is nothing to do.")
    first = [command for name in tasks for command in _task_commands(stage, name, context)]
    every = _with_environment((*first, *(() if plan.skip_reason else plan.commands)), context)
    return StagePlan(stage, every, tasks=tasks)


def _own_command(stage: StageName, argv: tuple[str, ...], context: BuildContext) -> Command:
    return Command(resolved(argv, context.tools), stage, title=" ".join(argv)[:200])


def _task_commands(stage: StageName, name: str, context: BuildContext) -> list[Command]:
    commands = (_own_command(stage, argv, context) for argv in context.config.tasks[name].commands)
    return [replace(command, title=f"{name}: {command.title}"[:200]) for command in commands]


def resolved(argv: tuple[str, ...], tools: Mapping[str, str]) -> tuple[str, ...]:
    """A project's own command with the tool it names by its absolute path; other names are looked up on PATH."""
    name = {"python3": "python"}.get(argv[0], argv[0])
    return (tools.get(name, argv[0]), *argv[1:])


def _with_environment(commands: Iterable[Command], context: BuildContext) -> tuple[Command, ...]:
    return tuple(replace(command, env={**command.env, **context.config.environment}) for command in commands)


def missing_tools(needs: tuple[str, ...], tools: frozenset[str]) -> Ending | None:
    """The ending of a build whose agent lacks a tool; None when it has them all."""
    missing = [name for name in needs if name not in tools]
    if not missing:
        return None
    names = " and ".join(missing)
    return Ending(
        Outcome.FAILED,
        ReasonCode.TOOL_MISSING,
        f"This build needs {names}, which the agent does not have; choose a pool whose agents have it.",
    )


def hand_on(lacks: tuple[str, ...]) -> Ending:
    """The ending of an attempt on an agent that lacks what the source needs: another one that has it may take it."""
    return Ending(
        Outcome.HANDED_BACK,
        ReasonCode.HANDED_BACK,
        f"buildyard.toml needs {' and '.join(lacks)}: another agent has to build it.",
    )


def command_ending(command: Command, end: CommandEnd) -> Ending | None:
    """The ending that a finished command means; None when it succeeded."""
    if end.exit_code in command.ok_exit_codes:
        return None
    if command.test_case or (end.exit_code is not None and end.exit_code in command.tests_fail_on):
        return Ending(Outcome.FAILED, ReasonCode.TESTS_FAILED, "Some tests failed.")
    stage = command.stage.wire
    if end.signal_name:
        cause = ", most likely for want of memory" if end.signal_name == "SIGKILL" else ""
        sentence = f"{stage}: `{command.title}` was ended by {end.signal_name}{cause}."
    else:
        sentence = f"{stage}: `{command.title}` failed with exit code {end.exit_code}{_explained(command, end)}."
    return Ending(Outcome.FAILED, ReasonCode.COMMAND_FAILED, sentence)


def _explained(command: Command, end: CommandEnd) -> str:
    """What the command's last lines are known to mean, behind a colon."""
    known = (clause for words, clause in command.explains.items() if any(words in line for line in end.tail))
    return next((f": {clause}" for clause in known), "")


def ending_of_tests(summary: TestSummary | None, ending: Ending | None) -> Ending | None:
    """The ending of the test stage from its reports and from its commands' `ending`.

    A failure named in a report tells more than an exit code, and fails the stage even when the command ended with 0.
    A command that failed in another way keeps its own ending.
    """
    if summary is None or (ending is not None and ending.code is not ReasonCode.TESTS_FAILED):
        return ending
    if not summary.failed:
        return ending and replace(
            ending, code=ReasonCode.COMMAND_FAILED, reason="The test command failed, though no report names a failure."
        )
    names = ", ".join(case.name for case in summary.failures[:_NAMED_FAILURES])
    more = summary.failed - min(len(summary.failures), _NAMED_FAILURES)
    tail = f" and {more} more" if more > 0 and names else ""
    noun = "test" if summary.total == 1 else "tests"
    sentence = f"{summary.failed} of {summary.total} {noun} failed{': ' if names else ''}{names}{tail}."
    return Ending(Outcome.FAILED, ReasonCode.TESTS_FAILED, sentence)


def disk_full(stage: StageName) -> Ending:
    """The ending of a stage that found no room left."""
    return Ending(
        Outcome.FAILED, ReasonCode.DISK_FULL, f"{stage.wire}: the agent's disk is full; free some space and retry."
    )


def worker_error(error_name: str) -> Ending:
    """The ending after an exception nobody expected; the worker's own log has its traceback."""
    return Ending(
        Outcome.FAILED,
        ReasonCode.WORKER_ERROR,
        f"The worker met an unexpected error ({error_name}); its own log tells more.",
    )


_AT_FETCH: tuple[tuple[type[BuildyardError], Outcome, ReasonCode], ...] = (
    (HostileArchive, Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED),
    (InvalidUpload, Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED),
    (TooLarge, Outcome.REJECTED, ReasonCode.ARCHIVE_REFUSED),
    (InvalidRequest, Outcome.REJECTED, ReasonCode.CONFIGURATION_REFUSED),
    (Forbidden, Outcome.REJECTED, ReasonCode.SOURCE_REFUSED),
    (NotFound, Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE),
    (TemporaryError, Outcome.FAILED, ReasonCode.SOURCE_UNAVAILABLE),
    (BuildyardError, Outcome.FAILED, ReasonCode.WORKER_ERROR),
)
_AT_COMMANDS: tuple[tuple[type[BuildyardError], Outcome, ReasonCode], ...] = (
    (NotFound, Outcome.FAILED, ReasonCode.TOOL_MISSING),
    (InvalidRequest, Outcome.FAILED, ReasonCode.COMMAND_FAILED),
    (BuildyardError, Outcome.FAILED, ReasonCode.WORKER_ERROR),
)
_AT_PUBLISH: tuple[tuple[type[BuildyardError], Outcome, ReasonCode], ...] = (
    (TemporaryError, Outcome.FAILED, ReasonCode.WORKER_ERROR),  # tried again: no outage decides about a build
    (BuildyardError, Outcome.FAILED, ReasonCode.ARTIFACT_FAILED),
)


def stage_too_long(stage: StageName, minutes: float) -> Ending:
    """The ending of a stage that passed the limit that `buildyard.toml` sets it."""
    unit = "minute" if minutes == 1 else "minutes"
    return Ending(
        Outcome.TIMED_OUT,
        ReasonCode.TIMED_OUT,
        f"{stage.wire} was stopped at the limit of {minutes:g} {unit} that buildyard.toml sets it.",
    )


def error_ending(stage: StageName, error: BuildyardError) -> Ending:
    """The ending that an error of the tree means in the stage that raised it."""
    table = {StageName.FETCH: _AT_FETCH, StageName.PUBLISH: _AT_PUBLISH}.get(stage, _AT_COMMANDS)
    sentence = f"{error} {error.remedy}".strip()
    return next(Ending(outcome, code, sentence) for kind, outcome, code in table if isinstance(error, kind))


def attempt_ending(results: tuple[StageResult, ...]) -> Ending:
    """The attempt's ending: that of its first stage with one; without any it succeeded."""
    return next((result.ending for result in results if result.ending is not None), SUCCEEDED)


def rest_skipped(ended: StageResult) -> tuple[StageResult, ...]:
    """The stages after the one that ended the attempt, each with its reason."""
    later = STAGES[STAGES.index(ended.stage) + 1 :]
    return tuple(skipped(stage, f"{ended.stage.wire} did not succeed.") for stage in later)
