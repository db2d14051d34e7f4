"""What the screens of builds say, without a screen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.tui.samples import at, decision, event, identifier, summary
from tests.tui.screens.builds_farm import (
    FAILED,
    NOW,
    QUEUED,
    RUNNING,
    attempt,
    failed_build,
    farm,
    findings,
    log_lines,
    pool,
)
from tui.screens.builds_facts import build_facts
from tui.screens.builds_log import StageLog
from tui.screens.builds_table import BuildLines, columns
from tui.screens.builds_tree import WHOLE, Branch, branch_to_open, tree_of
from tui.screens.builds_waiting import why_it_waits
from tui.state import Bounds, Store
from tui.state.events import (
    BuildChanged,
    BuildSeen,
    BuildsSeen,
    DecisionsSeen,
    LogBroke,
    LogLine,
    LogSeen,
    PoolsSeen,
    log_of_build,
)
from tui.widgets.facts import Fact, laid_out


def store_of(*events: object, bounds: Bounds | None = None) -> Store:
    store = Store(bounds)
    for one in events:
        store.apply(one)
    return store


def why(store: Store, number: int = QUEUED) -> str:
    return why_it_waits(store, store.builds[identifier(number)])


def said(store: Store, number: int) -> str:
    return "\n".join(f"{fact.label} {fact.text}" for fact in build_facts(store, identifier(number), NOW))


# ---------------------------------------------------------------- why it waits


def test_a_waiting_build_names_the_nearest_cause_first() -> None:
    queued = BuildsSeen(at(0), (summary(QUEUED),))
    assert why(store_of(queued)) == "Nothing is known of its pool linux: the producer has not told of it."
    cases = [
        (pool(paused=True), "Pool linux is paused (kim): The disk is changed."),
        (pool(idle=0, busy=0), "No agent in pool linux."),
        (pool(idle=0, busy=5), "All 5 agents busy in pool linux."),
        (pool(idle=2, busy=5), "2 of 7 agents idle in pool linux: one takes it soon."),
    ]
    for view, sentence in cases:
        assert why(store_of(queued, PoolsSeen(at(1), (view,)))) == sentence


def test_a_waiting_build_tells_its_place_and_what_the_scaler_made_of_it() -> None:
    store = store_of(*farm())
    assert why(store) == "The one agent of pool linux is busy. 4 jobs are ahead of it. The scaler: So."


def test_a_build_that_is_worked_on_or_has_ended_waits_for_nothing() -> None:
    store = store_of(*farm())
    assert why(store, RUNNING) == why(store, FAILED) == ""
    assert why(store_of(BuildsSeen(at(0), (summary(1, "Received"),))), 1) == "It is received, and not queued yet."


def test_a_running_build_whose_agent_was_lost_says_that_it_waits_for_another() -> None:
    job = identifier(1000 + RUNNING)
    store = store_of(
        BuildsSeen(at(0), (summary(RUNNING, "Running"),)),
        BuildChanged(event(RUNNING, 1, "job_claimed", job=job, attempt=1, agent="linux-1-1")),
        BuildChanged(
            event(RUNNING, 2, "attempt_ended", job=job, attempt=1, outcome="Lost", reason="linux-1-1 was lost.")
        ),
    )
    assert why(store, RUNNING) == "Attempt 1 was lost: linux-1-1 was lost. It waits for another agent."


# ---------------------------------------------------------------- the table


def test_a_row_changes_with_its_build_with_its_pool_while_it_waits_and_with_time() -> None:
    store, now = store_of(*farm()), [at(90)]
    lines = BuildLines(lambda: store, lambda: now[0])
    queued, failed = identifier(QUEUED), identifier(FAILED)
    before = lines.version(queued), lines.version(failed)
    store.apply(PoolsSeen(at(95), (pool(paused=True),)))
    assert lines.version(queued) != before[0]
    assert lines.version(failed) == before[1]
    assert "paused" in lines.row(queued).waits
    now[0] = at(100)
    assert lines.version(failed) != before[1]


@given(st.text(max_size=60))
def test_no_cell_of_a_build_holds_a_control_character(text: str) -> None:
    hostile = summary(1).model_copy(update={"project_name": text, "reason": text, "status": text, "priority": text})
    store = store_of(BuildsSeen(at(0), (hostile,)))
    line = BuildLines(lambda: store, lambda: NOW).row(identifier(1))
    for column in columns():
        cell = column.cell(line)
        column.sort_value(line)
        assert cell.text.isprintable() or not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in cell.text)


# ---------------------------------------------------------------- facts and tree


def test_the_facts_of_a_failed_build_hold_reason_tests_warnings_artifacts_and_attempts() -> None:
    facts = said(store_of(*farm(), findings()), FAILED)
    for expected in (
        "state ✗ Failed",
        "reason 2 of 214 tests failed. (tests_failed)",
        "tests 212 of 214 passed, 2 failed, 0 skipped",
        "failed Part7: Case12",
        "expected 4, got 5",
        "warnings 1",
        "Two lock files were found.",
        "findings 1 error, 3 warnings",
        "error src/Part7.cs:7:9: It may be null. [CS8602]",
        "warning src/Part1.cs:1:9: It may be null. [CS8602]",
        "and 2 more in the log",
        "artifacts 1, 2.0KiB",
        "tests.xml 2.0KiB",
        "attempts: 2",
        "Lost on linux-9-1 after 40s: The agent went away.",
        "ref fix/[/x]",
    ):
        assert expected in facts


def test_what_is_not_read_yet_is_said_and_never_shown_as_none() -> None:
    store = store_of(BuildsSeen(at(0), (summary(1, "Failed"),)))
    assert "Tests, warnings and artifacts are not read yet." in said(store, 1)
    assert "tests -" not in said(store, 1)
    assert "findings" not in said(store, 1)
    assert "Nothing is known of a build" in said(store, 2)


def test_an_agents_start_is_told_with_the_decision_that_started_it() -> None:
    store = store_of(*farm(), DecisionsSeen((decision(2, seconds=2),)))
    assert "agent linux-9-1, started by decision 1: So." in said(store, RUNNING)


def test_the_tree_opens_where_it_went_wrong_else_where_it_runs() -> None:
    store = store_of(*farm())
    assert branch_to_open(tree_of(store, identifier(FAILED), NOW)) == "stage Test"
    assert branch_to_open(tree_of(store, identifier(RUNNING), NOW)) == "stage Restore"
    assert branch_to_open(tree_of(store, identifier(QUEUED), NOW)) == WHOLE
    assert tree_of(store, identifier(99), NOW) == ()


def test_the_tree_lists_attempts_of_one_job_and_jobs_where_there_are_several() -> None:
    store = store_of(*farm())
    keys = [branch.key for branch in tree_of(store, identifier(FAILED), NOW)]
    assert keys[-2:] == ["try 1", "try 2"]
    several = (attempt(1, "Succeeded"), attempt(1, None).model_copy(update={"job_id": identifier(5000)}))
    store.apply(BuildSeen(at(70), failed_build(attempts=several)))
    jobs = [branch.key for branch in tree_of(store, identifier(FAILED), NOW) if branch.key.startswith("job")]
    assert jobs == [f"job {identifier(1000 + FAILED)}", f"job {identifier(5000)}"]


# ---------------------------------------------------------------- the log of a stage


def test_a_stage_shows_its_own_lines_and_the_whole_build_all() -> None:
    store = store_of(*farm())
    build = identifier(FAILED)
    for stage, expected in (("Test", 30), ("build", 30), ("", 60)):
        log = StageLog(build, Branch("x", 1, stage, "Failed", "part", stage=stage))
        log.feed(store)
        assert len(log.ring) == expected
        assert log.has_error() == (stage != "build")
    other = StageLog(build, Branch("x", 1, "Test", "Lost", "part", attempt=1))
    other.feed(store)
    assert len(other.ring) == 0


def test_breaks_and_lines_that_the_store_dropped_are_seams_with_counts() -> None:
    stream = log_of_build(identifier(FAILED))
    store = store_of(
        LogSeen(stream, log_lines()), LogBroke(stream, at(80), "reconnected", 7), bounds=Bounds(log_lines=40)
    )
    log = StageLog(identifier(FAILED), Branch(WHOLE, 0, "", "", "build"))
    log.feed(store)
    assert log.ring.account.missing == 7 + store.logs[stream].first
    assert len(log.ring.seams()) == 2
    assert log.feed(store) == 0
    store.apply(LogSeen(stream, (LogLine("later", 68, 90.0, "Test", 2),)))
    assert log.feed(store) == 1


@given(st.text(alphabet=st.characters(), max_size=80), st.integers(1, 60))
def test_facts_are_never_wider_than_their_place(text: str, width: int) -> None:
    for row in laid_out([Fact("label", text), Fact("", text)], width):
        assert sum(cell_len(piece) for piece, _ in row) <= max(width, 16)
