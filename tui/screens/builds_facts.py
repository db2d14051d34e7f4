"""All that is known of one build, as facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from buildyard.contracts.api import ArtifactView, AttemptView, BuildStatus
from buildyard.contracts.builds import TestSummary
from buildyard.contracts.diagnostics import StageDiagnostic
from tui.format import NONE, Tone, count, day_and_clock, duration, mark, short_id, since, size
from tui.screens.builds_table import seconds_of
from tui.screens.builds_waiting import why_it_waits
from tui.state import Store
from tui.state.rows import BuildRow, DecisionRow
from tui.widgets.facts import Fact, heading

MOST_LISTED = 100
"""Of failed tests, warnings, what compilers said, artifacts and attempts each; how many more there are is told."""
_BELOW = " "
"""The label of what stands under a value."""


def build_facts(store: Store, build_id: str, now: datetime, *, utf8: bool = True) -> tuple[Fact, ...]:
    """What a reader asks in this order: what became of it and why, where it stands, what it found, what it is."""
    build = store.builds.get(build_id)
    if build is None:
        return (
            Fact("", f"Nothing is known of a build {build_id}.", "warning"),
            Fact("", "The producer has it no more, or has not told of it yet. Esc goes back.", "muted"),
        )
    detail = store.details.get(build_id)
    facts = [*_outcome(store, build, now, utf8=utf8)]
    if detail is None:
        facts.append(Fact("", "Tests, warnings and artifacts are not read yet.", "muted"))
    else:
        facts += _tests(detail.tests)
        facts += _warnings(detail.warnings)
    facts += _findings(build, store.diagnostics.get(build_id))
    facts += _artifacts(store.artifacts.get(build_id), build, detail)
    facts += _attempts(detail.attempts if detail else (), now, utf8=utf8)
    facts += _what_it_is(build, detail)
    return tuple(facts)


def _outcome(store: Store, build: BuildRow, now: datetime, *, utf8: bool) -> Iterator[Fact]:
    shown = mark(build.status)
    yield Fact("state", f"{shown.sign(utf8=utf8)} {shown.word}", shown.tone)
    if build.reason:
        code = f" ({build.reason_code})" if build.reason_code else ""
        yield Fact("reason", f"{build.reason}{code}", "bad" if shown.tone == "bad" else "plain")
    letter = store.dead.get(build.id)
    if letter is not None:
        said = f"for {since(letter.dead_at, now)}, after {count(letter.attempts)} attempts: it waits for a person"
        yield Fact("dead", f"{said} to requeue or to drop it.", "bad")
    if waits := why_it_waits(store, build):
        yield Fact("waits", waits, "waiting")
    if build.rows is not None:
        done = f"{count(build.rows.succeeded + build.rows.failed)} of {count(build.rows.total)} rows"
        yield Fact("rows", f"{done}, {count(build.rows.failed)} failed", "bad" if build.rows.failed else "plain")
    yield Fact("age", f"{since(build.created_at, now)}, sent {day_and_clock(build.created_at)}")
    seconds = seconds_of(build, now)
    took = "not begun" if seconds is None else duration(seconds)
    yield Fact("took", f"{took}{'' if build.ended or seconds is None else ' so far'}")
    if build.started_at and build.created_at:
        yield Fact("waited", duration((build.started_at - build.created_at).total_seconds()))
    if build.agent:
        yield Fact("agent", f"{build.agent}{_started_by(store, build.agent)}")


def _started_by(store: Store, agent: str) -> str:
    row = store.agents.get(agent)
    decision: DecisionRow | None = store.decisions.get(row.started_by) if row and row.started_by is not None else None
    return f", started by decision {decision.number}: {decision.reason}" if decision else ""


def _tests(tests: TestSummary | None) -> Iterator[Fact]:
    if tests is None:
        yield Fact("tests", NONE, "muted")
        return
    said = f"{count(tests.passed)} of {count(tests.total)} passed, {count(tests.failed)} failed"
    yield Fact("tests", f"{said}, {count(tests.skipped)} skipped", "bad" if tests.failed else "good")
    for case in tests.failures[:MOST_LISTED]:
        suite = f"{case.suite}: " if case.suite else ""
        place = f" [{case.place}]" if case.place else ""
        yield Fact("  failed", f"{suite}{case.name}{place}", "bad")
        if case.message:
            yield Fact(_BELOW, case.message)
    if more := tests.failed - len(tests.failures[:MOST_LISTED]):
        yield Fact(_BELOW, f"and {count(more)} more", "muted")


def _warnings(warnings: Sequence[str]) -> Iterator[Fact]:
    if not warnings:
        yield Fact("warnings", NONE, "muted")
        return
    yield Fact("warnings", count(len(warnings)), "warning")
    yield from (Fact(_BELOW, warning, "warning") for warning in warnings[:MOST_LISTED])
    yield from _more(len(warnings))


def _findings(build: BuildRow, found: Sequence[StageDiagnostic] | None) -> Iterator[Fact]:
    """What compilers said, with its places; the stages count it all, of each stage only the first ones are told."""
    if not found:
        return
    errors = max(sum(one.errors for one in build.stages), sum(one.severity == "error" for one in found))
    warnings = max(sum(one.warnings for one in build.stages), len(found) - errors)
    yield Fact("findings", f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}", _grave(bool(errors)))
    for one in found[:MOST_LISTED]:
        code = f" [{one.code}]" if one.code else ""
        yield Fact(f"  {one.severity}", f"{one.place}: {one.message}{code}", _grave(one.severity == "error"))
    if more := errors + warnings - len(found[:MOST_LISTED]):
        yield Fact(_BELOW, f"and {count(more)} more in the log", "muted")


def _grave(bad: bool) -> Tone:  # noqa: FBT001 - one of two
    return "bad" if bad else "warning"


def _counted(number: int, what: str) -> str:
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def _artifacts(artifacts: Sequence[ArtifactView] | None, build: BuildRow, detail: BuildStatus | None) -> Iterator[Fact]:
    if artifacts is None:
        if detail is not None:
            number = detail.artifacts_count
            yield Fact("artifacts", f"{count(number)}, not read yet" if number else NONE, "muted")
        return
    if not artifacts:
        yield Fact("artifacts", NONE if build.ended else "none so far", "muted")
        return
    yield Fact("artifacts", f"{count(len(artifacts))}, {size(sum(one.size_bytes for one in artifacts))}")
    yield from (Fact(_BELOW, f"{one.path} {size(one.size_bytes)}") for one in artifacts[:MOST_LISTED])
    yield from _more(len(artifacts))


def _attempts(attempts: Sequence[AttemptView], now: datetime, *, utf8: bool) -> Iterator[Fact]:
    if not attempts:
        return
    yield heading(f"attempts: {count(len(attempts))}")
    for one in attempts[:MOST_LISTED]:
        shown = mark(one.outcome or "Running", "part")
        took = duration(((one.ended_at or now) - one.started_at).total_seconds())
        why = f": {one.reason}" if one.reason else ""
        said = f"{shown.sign(utf8=utf8)} {shown.word} on {one.agent} after {took}{why}"
        yield Fact(f"{short_id(one.job_id)[-5:]} {one.number}", said, shown.tone)
    yield from _more(len(attempts))


def _what_it_is(build: BuildRow, detail: BuildStatus | None) -> Iterator[Fact]:
    yield heading("build")
    yield Fact("id", build.id)
    yield Fact("project", build.project or "?")
    yield Fact("pool", build.pool or "?")
    yield Fact("priority", build.priority or "?")
    if build.ref:
        yield Fact("ref", build.ref)
    if build.retry_of:
        yield Fact("retry of", build.retry_of)
    if build.toolchain:
        yield Fact("toolchain", f"{build.toolchain}{f': {detail.toolchain_why}' if detail else ''}")
    if detail is None:
        return
    if detail.source.url or detail.source.filename:
        yield Fact("source", detail.source.url or detail.source.filename or "")
    yield Fact("strategy", f"{detail.strategy_used or detail.strategy}, {detail.configuration}")
    yield from (Fact(name, value) for name, value in list(detail.metadata.items())[:MOST_LISTED])


def _more(number: int) -> Iterator[Fact]:
    if number > MOST_LISTED:
        yield Fact(_BELOW, f"and {count(number - MOST_LISTED)} more", "muted")
