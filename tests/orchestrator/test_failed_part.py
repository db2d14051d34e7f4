"""Retrying the failed part of a build, or all of it anew, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildyard.contracts.builds import BuildState, GitSource, Outcome, ReasonCode
from buildyard.errors import Conflict
from orchestrator.domain import dead_letters
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_dead_letters import dead_batch, die, planned
from tests.orchestrator.test_service import claim, claimed, ended
from tests.orchestrator.world import START, a_build, an_id


async def rows_to_run(yard: Yard) -> list[int]:
    """The rows that agents get of the newest batch, once it is planned."""
    await planned(yard, 3)
    found = []
    while (spec := await claim(yard)) is not None and spec.rows is not None:
        found.append(spec.rows.span.first)
    return found


@pytest.mark.parametrize(("failed_only", "rows"), [(True, [2, 3]), (None, [2, 3]), (False, [1, 2, 3])])
async def test_what_succeeded_of_a_batch_is_taken_over_unless_all_is_wanted_anew(
    yard: Yard, failed_only: bool | None, rows: list[int]
) -> None:
    build_id = await dead_batch(yard)

    new = (await yard.service.retry(build_id, requester="me", failed_only=failed_only)).execution_id

    assert await rows_to_run(yard) == rows
    status = await yard.views.build(new)
    assert status.rows is not None
    assert status.rows.succeeded == 3 - len(rows)
    carried = [row.row async for row in yard.views.all_rows(new)]
    assert carried == [1] * (3 - len(rows))


async def test_a_build_that_was_to_be_all_anew_hides_those_before_it(yard: Yard) -> None:
    build_id = await dead_batch(yard)
    anew = (await yard.service.retry(build_id, requester="me", failed_only=False)).execution_id
    spec = await claim(yard)
    assert spec is not None
    await die(yard, spec, ReasonCode.SOURCE_UNAVAILABLE)
    await yard.service.retry(anew, requester="me")

    assert await rows_to_run(yard) == [1, 2, 3]


async def test_a_build_of_one_job_has_no_failed_part(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(ended(spec, Outcome.FAILED, ReasonCode.COMMAND_FAILED, "It does not compile."))

    with pytest.raises(Conflict, match="as a whole") as refused:
        await yard.service.retry(spec.build_id, requester="me", failed_only=True)

    assert refused.value.code == "no_failed_part"
    assert (await yard.service.retry(spec.build_id, requester="me", failed_only=False)).status == "Queued"


def test_a_failed_part_is_had_only_of_a_batch_whose_bytes_stay_the_same() -> None:
    failed = replace(a_build(), state=BuildState.FAILED, rows_total=5, rows_ok=2)
    branch = replace(failed, source=GitSource(url="https://example.org/x.git", ref="main"))
    succeeded = replace(failed, state=BuildState.SUCCEEDED)

    assert dead_letters.again(failed, an_id(2), "me", START, failed_only=True).carries
    assert not dead_letters.again(failed, an_id(2), "me", START, failed_only=False).carries
    for old, why in (
        (branch, "of a branch"),
        (succeeded, "nothing of it failed"),
        (replace(failed, rows_total=None), "whole"),
    ):
        with pytest.raises(Conflict, match=why):
            dead_letters.again(old, an_id(2), "me", START, failed_only=True)
