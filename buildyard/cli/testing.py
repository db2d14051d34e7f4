"""`buildyard tests`: the tests of a build by name, or its suites, with what they took."""

from __future__ import annotations

from dataclasses import dataclass

from buildyard.cli.exits import OK
from buildyard.cli.output import Output, word
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.builds import CaseStatus, TestCase
from buildyard.contracts.testing import TestPage, TestSuite

_PAGE = 1000


@dataclass(frozen=True)
class Wanted:
    """What to list: at most `limit` cases of one status or suite, failures first or the slowest first; or suites."""

    build_id: str
    status: CaseStatus | None = None
    suite: str | None = None
    limit: int = 100
    suites: bool = False
    slowest: bool = False


async def list_tests(session: Session, wanted: Wanted, *, as_json: bool) -> int:
    """List a build's tests."""
    async with session.producer() as producer:
        found = await _found(producer, wanted)
    if as_json:
        session.output.json(found.wire())
    elif wanted.suites:
        _suites(session.output, found, wanted)
    else:
        _cases(session.output, found, wanted)
    return OK


async def _found(producer: ProducerClient, wanted: Wanted) -> TestPage:
    """As many pages as are asked for, as one; of all cases where the slowest are wanted."""
    first: TestPage | None = None
    cases: list[TestCase] = []
    after: str | None = "0"
    limit = 1 if wanted.suites else wanted.limit
    while after is not None and (wanted.slowest or len(cases) < limit):
        room = _PAGE if wanted.slowest else min(limit - len(cases), _PAGE)
        page = await producer.tests(wanted.build_id, status=wanted.status, suite=wanted.suite, after=after, limit=room)
        first = first or page
        cases += page.cases
        after = page.next_cursor
    assert first is not None
    if wanted.slowest:
        cases.sort(key=lambda case: -case.duration_seconds)
        after = None
    return first.model_copy(update={"cases": tuple(cases[:limit]), "next_cursor": after})


def _cases(output: Output, found: TestPage, wanted: Wanted) -> None:
    rows = [
        (word(case.status), _took(case.duration_seconds), case.suite, case.name, case.place) for case in found.cases
    ]
    if rows:
        output.table(("STATUS", "TOOK#", "SUITE", "NAME", "PLACE"), rows, spare=("PLACE", "SUITE"))
    else:
        output.remark("No test matches." if wanted.status or wanted.suite else "No test is known by name.")
    if found.next_cursor is not None:
        output.remark("There are more: raise --limit, or ask for one --status or --suite.")
    if found.cases_left_out:
        output.remark(f"{found.cases_left_out:,} of {found.total:,} tests are counted and not listed by name.")


def _suites(output: Output, found: TestPage, wanted: Wanted) -> None:
    suites = [one for one in found.suites if wanted.suite in {None, one.name}]
    if wanted.slowest:
        suites.sort(key=lambda one: -one.duration_seconds)
    rows = [_suite(one) for one in suites[: wanted.limit]]
    if rows:
        output.table(("SUITE", "PASSED#", "FAILED#", "SKIPPED#", "TOOK#"), rows)
    else:
        output.remark("No suite is known by name.")
    if len(suites) > wanted.limit:
        output.remark(f"There are {len(suites):,} suites: raise --limit.")
    unlisted = found.total - sum(one.passed + one.failed + one.skipped for one in found.suites)
    if unlisted > 0:
        output.remark(f"{unlisted:,} of {found.total:,} tests are of suites that are not listed.")


def _suite(one: TestSuite) -> tuple[str, ...]:
    return (one.name or "(none)", str(one.passed), str(one.failed), str(one.skipped), _took(one.duration_seconds))


def _took(seconds: float) -> str:
    """Tests are quick: thousandths count, up to a second; nothing where nobody told."""
    if not seconds:
        return ""
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.1f}s"
