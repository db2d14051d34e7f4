from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard import errors
from buildyard.contracts.builds import (
    BuildProperties,
    Outcome,
    ReasonCode,
    StageName,
    StageStatus,
    TestCase,
    TestSummary,
)
from buildyard.errors import BuildyardError
from buildyard.project.configuration import BuildyardToml, StageSection
from worker.own_commands import OwnCommands, own_commands
from worker.pipeline import (
    STAGES,
    SUCCEEDED,
    Ending,
    StageResult,
    StopCause,
    attempt_ending,
    command_ending,
    disk_full,
    ending_of_tests,
    error_ending,
    failed,
    missing_tools,
    plan_stage,
    resolved,
    rest_skipped,
    skip_by_request,
    stop_ending,
    stopped,
    worker_error,
)
from worker.toolchains.contract import BuildContext, Command, Detection, FileTree, StagePlan


@dataclass(frozen=True)
class _End:
    exit_code: int | None
    signal_name: str = ""
    tail: tuple[str, ...] = ()


def _context(config: BuildyardToml | None = None, **properties: bool) -> BuildContext:
    return BuildContext(
        properties=BuildProperties.model_validate(properties),
        tree=FileTree(frozenset()),
        detection=Detection("custom", 0, ""),
        config=config or BuildyardToml(),
        tools={"python": "/usr/bin/python3"},
        src="/src",
        out="/out",
        scratch="/scratch",
    )


class _Planned(OwnCommands):
    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        del context
        return StagePlan(stage, (Command(("tool",), stage, "tool", env={"A": "toolchain"}),))


_STAGES = st.sampled_from(STAGES)
_ERRORS = st.sampled_from(
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BuildyardError)]
)


@given(_STAGES, _ERRORS, st.sampled_from(["", "Try that."]))
def test_every_error_of_the_tree_means_an_ending_that_is_no_success(
    stage: StageName, kind: type[BuildyardError], remedy: str
) -> None:
    ending = error_ending(stage, kind("It is so.", remedy=remedy))

    assert ending.outcome in {Outcome.FAILED, Outcome.REJECTED}
    assert ending.code not in {ReasonCode.SUCCEEDED, ReasonCode.CANCELLED}
    assert ending.reason == f"It is so. {remedy}".strip()


@given(_STAGES, st.sampled_from(StopCause), st.floats(min_value=1, max_value=1e6))
def test_every_cause_to_stop_means_an_ending_and_a_closed_stage(
    stage: StageName, cause: StopCause, seconds: float
) -> None:
    ending = stop_ending(cause, seconds)
    result = stopped(stage, ending)

    assert ending.outcome in {Outcome.CANCELLED, Outcome.TIMED_OUT, Outcome.HANDED_BACK}
    assert result.status in {StageStatus.CANCELLED, StageStatus.FAILED}
    assert result.ending == ending


def test_a_time_limit_is_told_in_minutes() -> None:
    assert "time limit of 1 minute." in stop_ending(StopCause.TIMED_OUT, 60).reason
    assert "time limit of 0.05 minutes." in stop_ending(StopCause.TIMED_OUT, 3).reason


@given(st.lists(_STAGES, unique=True), st.integers(min_value=-1, max_value=5))
def test_an_attempt_ends_as_its_first_stage_with_an_ending(stages: list[StageName], at: int) -> None:
    results = tuple(
        failed(stage, disk_full(stage)) if number >= at >= 0 else StageResult(stage, StageStatus.SUCCEEDED)
        for number, stage in enumerate(stages)
    )
    ending = attempt_ending(results)

    assert ending == (disk_full(stages[at]) if 0 <= at < len(stages) else SUCCEEDED)


@given(_STAGES)
def test_with_the_rest_every_stage_is_accounted_for(stage: StageName) -> None:
    rest = rest_skipped(failed(stage, worker_error("X")))

    assert [*STAGES[: STAGES.index(stage) + 1], *(result.stage for result in rest)] == list(STAGES)
    assert all(result.status is StageStatus.SKIPPED and result.reason for result in rest)


def test_the_request_leaves_out_tests_and_artifacts_only() -> None:
    nothing = BuildProperties(run_tests=False, publish_artifacts=False, create_packages=False)

    assert [stage for stage in STAGES if skip_by_request(stage, nothing)] == [StageName.TEST, StageName.PUBLISH]
    assert not any(skip_by_request(stage, BuildProperties()) for stage in STAGES)


@pytest.mark.parametrize(
    ("end", "command", "code"),
    [
        (_End(0), {}, None),
        (_End(5), {"ok_exit_codes": (0, 5)}, None),
        (_End(1), {}, ReasonCode.COMMAND_FAILED),
        (_End(1), {"tests_fail_on": (1,)}, ReasonCode.TESTS_FAILED),
        (_End(2), {"tests_fail_on": (1,)}, ReasonCode.COMMAND_FAILED),
        (_End(None, "SIGSEGV"), {"tests_fail_on": (1,)}, ReasonCode.COMMAND_FAILED),
        (_End(134), {"test_case": "unit"}, ReasonCode.TESTS_FAILED),
        (_End(None, "SIGABRT"), {"test_case": "unit"}, ReasonCode.TESTS_FAILED),
    ],
)
def test_what_an_exit_means(end: _End, command: dict[str, object], code: ReasonCode | None) -> None:
    ending = command_ending(Command(("x",), StageName.TEST, "x", **command), end)  # type: ignore[arg-type]

    assert (ending.code if ending else None) == code


def test_a_kill_points_at_memory() -> None:
    ending = command_ending(Command(("x",), StageName.BUILD, "make all"), _End(None, "SIGKILL"))

    assert ending is not None
    assert ending.reason == "Build: `make all` was ended by SIGKILL, most likely for want of memory."


def test_a_failure_that_is_known_says_what_it_means() -> None:
    command = Command(("x",), StageName.RESTORE, "npm ci", explains={"in sync": "the lock does not fit; run it anew"})

    told = command_ending(command, _End(1, tail=("npm error", "  are not in sync. Please", "")))
    other = command_ending(command, _End(1, tail=("npm error",)))

    assert told is not None
    assert told.reason == "Restore: `npm ci` failed with exit code 1: the lock does not fit; run it anew."
    assert other is not None
    assert other.reason == "Restore: `npm ci` failed with exit code 1."


def _summary(failed_count: int, named: int) -> TestSummary:
    cases = tuple(TestCase(name=f"t{number}") for number in range(named))
    return TestSummary(total=10, passed=10 - failed_count, failed=failed_count, failures=cases)


_TESTS_FAILED = Ending(Outcome.FAILED, ReasonCode.TESTS_FAILED, "Some tests failed.")
_CRASH = Ending(Outcome.FAILED, ReasonCode.COMMAND_FAILED, "It crashed.")


@pytest.mark.parametrize(
    ("summary", "ending", "reason"),
    [
        (None, None, None),
        (None, _TESTS_FAILED, "Some tests failed."),
        (_summary(0, 0), None, None),
        (_summary(0, 0), _TESTS_FAILED, "The test command failed, though no report names a failure."),
        (_summary(2, 2), _TESTS_FAILED, "2 of 10 tests failed: t0, t1."),
        (_summary(2, 2), None, "2 of 10 tests failed: t0, t1."),
        (_summary(9, 9), _TESTS_FAILED, "9 of 10 tests failed: t0, t1, t2 and 6 more."),
        (_summary(3, 0), _TESTS_FAILED, "3 of 10 tests failed."),
        (_summary(2, 2), _CRASH, "It crashed."),
    ],
)
def test_reports_and_exit_codes_make_one_ending(
    summary: TestSummary | None, ending: Ending | None, reason: str | None
) -> None:
    found = ending_of_tests(summary, ending)

    assert (found.reason if found else None) == reason


def test_missing_tools_are_named() -> None:
    assert missing_tools(("make",), frozenset({"make", "git"})) is None
    ending = missing_tools(("dotnet", "make"), frozenset({"make"}))
    assert ending is not None
    assert ending.code is ReasonCode.TOOL_MISSING
    assert "needs dotnet, which" in ending.reason


def test_a_stage_is_planned_by_the_request_then_the_configuration_then_the_toolchain() -> None:
    own = BuildyardToml(
        stages={"build": StageSection(commands=(("python", "b.py"),)), "test": StageSection(skip=True)},
        environment={"A": "config", "B": "2"},
    )
    toolchain = _Planned()

    assert plan_stage(StageName.BUILD, toolchain, _context()).commands[0].argv == ("tool",)
    (command,) = plan_stage(StageName.BUILD, toolchain, _context(own)).commands
    assert (command.argv, command.title) == (("/usr/bin/python3", "b.py"), "python b.py")
    assert plan_stage(StageName.TEST, toolchain, _context(own)).skip_reason == "buildyard.toml skips it."
    assert "no tests" in plan_stage(StageName.TEST, toolchain, _context(own, run_tests=False)).skip_reason
    assert plan_stage(StageName.RESTORE, toolchain, _context(own)).commands[0].env == {"A": "config", "B": "2"}
    assert plan_stage(StageName.BUILD, OwnCommands(), _context()).skip_reason


def test_a_command_names_tools_by_their_usual_names() -> None:
    tools = {"python": "/opt/python", "make": "/opt/make"}

    assert resolved(("python3", "x"), tools) == ("/opt/python", "x")
    assert resolved(("make",), tools) == ("/opt/make",)
    assert resolved(("./run.sh", "make"), tools) == ("./run.sh", "make")


def test_commands_of_the_configuration_are_a_toolchain_of_their_own() -> None:
    assert own_commands(BuildyardToml()) is None
    assert own_commands(BuildyardToml(stages={"test": StageSection(skip=True)})) is None
    choice = own_commands(BuildyardToml(stages={"build": StageSection(commands=(("x",),))}))
    assert choice is not None
    assert choice.detection.toolchain == "custom"
    assert choice.toolchain.count_problems("error: x") is None
