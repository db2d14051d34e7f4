"""One build for people: what it is, how far it came, which tests failed, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from buildyard.cli.next_steps import next_step
from buildyard.cli.output import Output, clock_time, duration, log_line, size, word
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import TestCase

_FAILURES_SHOWN = 10
_MESSAGE_LINES = 3


def report(output: Output, build: BuildStatus, errors: Sequence[str] = (), *, to_err: bool = False) -> None:
    """Print a build, with the first lines of its log that tell of an error; `to_err` puts it beside a log."""
    shown = output.aside() if to_err else output
    shown.table(("", ""), _facts(build), headings_shown=False)
    shown.line()
    stages = [
        (
            stage.name,
            word(stage.status),
            duration(stage.duration),
            str(stage.warnings_count or ""),
            str(stage.errors_count or ""),
            stage.reason,
        )
        for stage in build.stages
    ]
    if stages:
        shown.table(
            ("STAGE", "STATUS", "TOOK#", "WARNINGS#", "ERRORS#", "NOTE"), stages, spare=("WARNINGS#", "ERRORS#")
        )
        shown.line()
    _tests(shown, build)
    for warning in build.warnings:
        shown.line(f"Warning: {warning}")
    if errors:
        shown.line("First errors:")
        for line in errors:
            shown.line(f"  {log_line(line, colours=False)}")
        shown.line()
    if build.reason:
        shown.line(f"{build.status}: {build.reason}")
    if step := next_step(build):
        shown.line(f"Next: {step}")


def _facts(build: BuildStatus) -> list[tuple[str, str | Text]]:
    facts: list[tuple[str, str | Text]] = [
        ("Build", build.execution_id),
        ("Project", f"{build.project_name} ({build.configuration})"),
        ("Status", word(build.status)),
        ("Source", _source(build)),
        ("Pool", f"{build.target_pool}, priority {build.priority}, strategy {_strategy(build)}"),
        ("Toolchain", f"{build.toolchain}: {build.toolchain_why}" if build.toolchain else ""),
        ("Agent", f"{build.agent.name} on {build.agent.hostname}" if build.agent else ""),
        ("Created", clock_time(build.created_at)),
        ("Took", duration(build.duration)),
        ("In queue", f"number {build.queue_position}" if build.queue_position else ""),
        ("Begins", f"about {clock_time(build.estimated_start_time)}" if build.estimated_start_time else ""),
        ("May take", f"about {duration(build.estimated_duration)}" if build.estimated_duration else ""),
        ("Rows", _rows(build)),
        ("Artifacts", str(build.artifacts_count or "")),
        ("Attempts", str(len(build.attempts)) if len(build.attempts) > 1 else ""),
    ]
    return [(name, value) for name, value in facts if value]


def _source(build: BuildStatus) -> str:
    source = build.source
    if source.type == "git":
        return f"{source.url} at {source.ref}"
    return f"{source.filename or 'upload'} ({size(source.size_bytes or 0)}, sha256 {(source.sha256 or '')[:12]}…)"


def _strategy(build: BuildStatus) -> str:
    used = build.strategy_used
    return used if used.lower() == build.strategy.lower() else f"{build.strategy}, run as {used}"


def _rows(build: BuildStatus) -> str:
    rows = build.rows
    return f"{rows.succeeded + rows.failed} of {rows.total} done, {rows.failed} failed" if rows else ""


def _tests(output: Output, build: BuildStatus) -> None:
    tests = build.tests
    if tests is None:
        return
    took = f", in {duration(tests.duration_seconds)}" if tests.duration_seconds else ""
    output.line(f"Tests: {tests.total}, {tests.passed} passed, {tests.failed} failed, {tests.skipped} skipped{took}")
    for failure in tests.failures[:_FAILURES_SHOWN]:
        for line in _failure(failure):
            output.line(line)
    hidden = tests.failed - min(len(tests.failures), _FAILURES_SHOWN)
    if hidden > 0:
        output.line(f"  and {hidden} more")
    output.line()


def _failure(failure: TestCase) -> list[str]:
    name = f"{failure.suite}: {failure.name}" if failure.suite else failure.name
    place = f" ({failure.place})" if failure.place else ""
    message = [line for line in failure.message.splitlines() if line.strip()]
    return [f"  x {name}{place}", *(f"      {line}" for line in message[:_MESSAGE_LINES])]
