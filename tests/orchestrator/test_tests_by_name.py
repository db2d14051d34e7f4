"""Where a build's list of tests lies is the report's, kept with the build and as long as its log."""

from __future__ import annotations

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode, TestSummary
from buildyard.errors import Gone, InvalidRequest
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_removing import LEFTOVERS_GONE, OUTPUTS_GONE, keys, prefix_of, retire
from tests.orchestrator.test_service import claim, claimed, ended, finished

TESTS = TestSummary(total=2, passed=2, duration_seconds=0.5)


async def test_the_list_of_the_attempt_that_counts_stays_and_an_earlier_one_goes(yard: Yard) -> None:
    first = await claimed(yard)
    await yard.objects.put(f"{prefix_of(first)}tests.jsonl", b"{}\n")
    await yard.service.record(ended(first, Outcome.HANDED_BACK, ReasonCode.HANDED_BACK, "Back."))
    second = await claim(yard)
    assert second is not None
    key = f"{prefix_of(second)}tests.jsonl"
    await yard.objects.put(key, b"{}\n")
    assert await yard.views.tests(first.build_id) == (None, "")

    await yard.service.record(finished(second, tests=TESTS, tests_key=key))
    await retire(yard, LEFTOVERS_GONE)

    assert await yard.views.tests(first.build_id) == (TESTS, key)
    assert await keys(yard) == [key]

    await retire(yard, OUTPUTS_GONE)

    assert await keys(yard) == []
    assert (await yard.views.build(first.build_id)).tests == TESTS
    with pytest.raises(Gone):
        await yard.views.tests(first.build_id)


async def test_a_list_below_another_attempts_prefix_is_refused(yard: Yard) -> None:
    spec = await claimed(yard)

    with pytest.raises(InvalidRequest, match="an object that is not its own"):
        await yard.service.record(finished(spec, tests=TESTS, tests_key="builds/other/tests.jsonl"))
