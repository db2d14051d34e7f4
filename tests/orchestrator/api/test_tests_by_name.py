"""A build's tests by name: pages of the stored list, filtered; what cannot be listed is counted."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.builds import CaseStatus, TestCase, TestSummary
from buildyard.contracts.testing import TestListHead, TestSuite
from orchestrator.api.testing import Wish, page_of
from tests.orchestrator.api.fake_ports import MemoryObjects
from tests.orchestrator.api.fakes import BUILD_ID, Farm

URL = f"/api/v1/builds/{BUILD_ID}/tests"
KEY = "builds/b/tests.jsonl"
SUITES = (TestSuite(name="a", passed=2, failed=1, duration_seconds=1.5), TestSuite(name="b", skipped=1))
CASES = (
    TestCase(name="f", suite="a", message="no", place="a.py:3", duration_seconds=0.5),
    TestCase(name="p1", status="passed", suite="a", duration_seconds=0.25),
    TestCase(name="p2", status="passed", suite="a"),
    TestCase(name="s", status="skipped", suite="b"),
)
SUMMARY = TestSummary(total=6, passed=4, failed=1, skipped=1, duration_seconds=1.5, failures=CASES[:1])


def stored(cases: tuple[TestCase, ...] = CASES) -> bytes:
    head = TestListHead(suites=SUITES, cases=len(cases))
    return b"".join(line.encode() + b"\n" for line in (head, *cases))


@pytest.fixture
def listed(farm: Farm) -> Farm:
    farm.objects.kept[KEY] = stored()
    farm.views.tested = (SUMMARY, KEY)
    return farm


async def test_cases_come_in_pages_with_suites_on_the_first(client: httpx.AsyncClient, listed: Farm) -> None:
    assert listed
    first = (await client.get(f"{URL}?limit=3")).json()
    rest = (await client.get(f"{URL}?limit=3&after={first['nextCursor']}")).json()

    assert [case["name"] for case in first["cases"]] == ["f", "p1", "p2"]
    assert first["cases"][0] == CASES[0].wire()
    assert [suite["name"] for suite in first["suites"]] == ["a", "b"]
    assert (first["total"], first["casesLeftOut"], first["durationSeconds"]) == (6, 2, 1.5)
    assert ([case["name"] for case in rest["cases"]], rest["suites"], rest["nextCursor"]) == (["s"], [], None)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=failed", ["f"]),
        ("status=passed", ["p1", "p2"]),
        ("suite=b", ["s"]),
        ("status=passed&suite=b", []),
        ("after=4", []),
    ],
)
async def test_only_what_is_asked_for_is_listed(
    client: httpx.AsyncClient, listed: Farm, query: str, names: list[str]
) -> None:
    assert listed
    answer = (await client.get(f"{URL}?{query}")).json()

    assert ([case["name"] for case in answer["cases"]], answer["nextCursor"]) == (names, None)


@pytest.mark.parametrize("query", ["status=broken", "limit=0", "limit=1001", "after=-1", "after=x"])
async def test_a_wrong_question_is_refused(client: httpx.AsyncClient, listed: Farm, query: str) -> None:
    assert listed
    assert (await client.get(f"{URL}?{query}")).status_code == 422


async def test_without_a_list_the_failures_of_the_summary_are_shown(client: httpx.AsyncClient, farm: Farm) -> None:
    for key in ("", "builds/gone"):
        farm.views.tested = (SUMMARY, key)

        answer = (await client.get(URL)).json()

        assert ([case["name"] for case in answer["cases"]], answer["casesLeftOut"]) == (["f"], 5)


async def test_a_build_that_told_of_no_tests_is_not_shown_with_none(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.views.tested = (None, "")

    answer = await client.get(URL)

    assert answer.status_code == 404
    assert "told of no tests" in answer.json()["detail"]


async def test_lines_that_cannot_be_read_are_passed_over() -> None:
    objects = MemoryObjects({KEY: stored().replace(b'"p1"', b"?") + b"torn"})

    page = await page_of(objects, KEY, SUMMARY, Wish())

    assert [case.name for case in page.cases] == ["f", "p2", "s"]


_STATUSES: tuple[CaseStatus, ...] = ("passed", "failed", "skipped")


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_STATUSES), st.sampled_from("ab")), max_size=20),
    st.sampled_from([None, *_STATUSES]),
    st.sampled_from([None, "a", "b"]),
    st.integers(1, 5),
)
async def test_pages_together_are_the_list(
    made: list[tuple[CaseStatus, str]], status: CaseStatus | None, suite: str | None, limit: int
) -> None:
    cases = tuple(TestCase(name=str(number), status=word, suite=name) for number, (word, name) in enumerate(made))
    objects = MemoryObjects({KEY: stored(cases)})
    found: list[TestCase] = []
    after: str | None = "0"
    while after is not None:
        page = await page_of(objects, KEY, SUMMARY, Wish(status, suite, int(after), limit))
        assert len(page.cases) <= limit
        found += page.cases
        after = page.next_cursor

    assert found == [case for case in cases if status in {None, case.status} and suite in {None, case.suite}]
