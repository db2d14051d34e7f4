"""Words pinned to builds: replaced by context, bounded, told as events; on SQLite and PostgreSQL alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.annotations import Annotation, AnnotationRequest, AnnotationStyle
from buildyard.errors import Conflict, NotFound
from orchestrator.domain.annotating import MOST, annotate
from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import claimed, finished, submit
from tests.orchestrator.world import START, a_build, an_id


async def pin(yard: Yard, build_id: str, text: str, context: str = "default", style: str = "info") -> Annotation:
    request = AnnotationRequest(text=text, context=context, style=AnnotationStyle(style))
    return await yard.service.annotate(build_id, request, requester="ann")


async def test_words_of_the_same_context_are_replaced_and_each_change_is_told(yard: Yard) -> None:
    build_id = await submit(yard)
    await pin(yard, build_id, "Second.", "b")
    await pin(yard, build_id, "First.", "a", "warning")
    await pin(yard, build_id, "Better.", "b", "error")
    await pin(yard, build_id, "Better.", "b", "error")

    found = (await yard.views.annotations(build_id)).annotations
    told = [event.data for event in await yard.views.events(build_id, after=2, limit=99)]

    assert [(one.context, one.style, one.text, one.requester) for one in found] == [
        ("a", "Warning", "First.", "ann"),
        ("b", "Error", "Better.", "ann"),
    ]
    assert [(data["context"], data["text"], data["by"]) for data in told] == [
        ("b", "Second.", "ann"),
        ("a", "First.", "ann"),
        ("b", "Better.", "ann"),
    ]


async def test_a_build_that_has_ended_takes_words_too_and_one_that_is_none_does_not(yard: Yard) -> None:
    spec = await claimed(yard)
    await yard.service.record(finished(spec))

    assert (await pin(yard, spec.build_id, "Released as 1.2.")).text == "Released as 1.2."
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"
    with pytest.raises(NotFound):
        await pin(yard, an_id(9), "Nobody reads this.")
    with pytest.raises(NotFound):
        await yard.views.annotations(an_id(9))


@given(st.lists(st.tuples(st.integers(0, MOST + 20), st.sampled_from(["x", "y"])), max_size=2 * MOST))
def test_a_build_has_never_more_than_its_most(pins: list[tuple[int, str]]) -> None:
    known: dict[str, Annotation] = {}
    for number, text in pins:
        request = AnnotationRequest(text=text, context=f"c{number}")
        if len(known) == MOST and request.context not in known:
            with pytest.raises(Conflict, match="at most 100") as refused:
                annotate(a_build(), tuple(known.values()), request, "ann", START)
            assert refused.value.code == "too_many_annotations"
            continue
        pinned, step = annotate(a_build(), tuple(known.values()), request, "ann", START)
        assert (step is None) == (known.get(request.context) == pinned)
        known[request.context] = pinned
        assert len(known) <= MOST
