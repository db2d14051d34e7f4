"""The tests of a build by name: pages of a list that lies with the objects."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ValidationError

from buildyard.contracts.builds import CaseStatus, TestCase, TestSummary
from buildyard.contracts.testing import TestListHead, TestPage
from buildyard.errors import NotFound
from buildyard.ports import ObjectStore
from orchestrator.api import examples
from orchestrator.api.documented import answers
from orchestrator.api.json_body import JsonRoute
from orchestrator.api.parts import BuildId, Parts

router = APIRouter(prefix="/api/v1/builds", tags=["builds"], route_class=JsonRoute)

_LONGEST_LINE = 2**20


@dataclass(frozen=True)
class Wish:
    """Which cases are asked for; `after` is a place in the list, counted from 1."""

    status: CaseStatus | None = None
    suite: str | None = None
    after: int = 0
    limit: int = 100

    def takes(self, case: TestCase) -> bool:
        """Whether this is one of them."""
        return self.status in {None, case.status} and self.suite in {None, case.suite}


@router.get(
    "/{build_id}/tests",
    operation_id="list_tests",
    summary="Read a build's tests by name",
    responses=answers(200, examples.tests, 404, 410, 422, 503),
)
async def list_tests(
    build_id: BuildId,
    parts: Parts,
    status: Annotated[CaseStatus | None, Query(description="Only cases that ended so.")] = None,
    suite: Annotated[str | None, Query(max_length=500, description="Only cases of this suite.")] = None,
    after: Annotated[int, Query(ge=0, le=10_000_000, description="Only cases behind this place of the list.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Cases a page.")] = 100,
) -> TestPage:
    """Suites and cases with their durations, failed cases first; of failures message and place.

    A list holds at most 10,000 cases and 1,000 failures; all are counted.
    """
    summary, key = await parts.views.tests(build_id)
    if summary is None:
        raise NotFound("This build has told of no tests.", remedy="Its stages and its log tell how far it came.")
    return await page_of(parts.objects, key, summary, Wish(status, suite, after, limit))


async def page_of(objects: ObjectStore, key: str, summary: TestSummary, wish: Wish) -> TestPage:
    """A page of the list below `key`; where there is none, of the failures that the summary names."""
    async with aclosing(_records(objects, key, summary)) as records:
        head = await anext(records)
        found: list[tuple[int, TestCase]] = []
        place = 0
        async for case in records:
            place += 1
            if place > wish.after and isinstance(case, TestCase) and wish.takes(case):
                found.append((place, case))
            if len(found) > wish.limit:
                break
    page = found[: wish.limit]
    assert isinstance(head, TestListHead)
    return TestPage(
        total=summary.total,
        passed=summary.passed,
        failed=summary.failed,
        skipped=summary.skipped,
        duration_seconds=summary.duration_seconds,
        suites=() if wish.after else head.suites,
        cases=tuple(case for _, case in page),
        cases_left_out=max(0, summary.total - head.cases),
        next_cursor=str(page[-1][0]) if len(found) > wish.limit else None,
    )


async def _records(
    objects: ObjectStore, key: str, summary: TestSummary
) -> AsyncGenerator[TestListHead | TestCase | None]:
    """The head and then the cases; None for a line that cannot be read."""
    begun = False
    if key:
        async with aclosing(_lines(objects, key)) as lines:
            async for line in lines:
                yield _read(line, TestCase if begun else TestListHead)
                begun = True
    if not begun:
        yield TestListHead(cases=len(summary.failures))
        for case in summary.failures:
            yield case


def _read(line: bytes, shape: type[TestListHead | TestCase]) -> TestListHead | TestCase | None:
    try:
        return shape.model_validate_json(line)
    except ValidationError:
        return None if shape is TestCase else TestListHead()


async def _lines(objects: ObjectStore, key: str) -> AsyncGenerator[bytes]:
    """The lines of the object; none where it is gone."""
    rest = b""
    try:
        chunks = await objects.open(key)
    except NotFound:
        return
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > _LONGEST_LINE:
            return
