"""A broker's 0 is believed only when no source gives reason to doubt it: on 1,000 readings and more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.ports import SLOW_SECONDS, Depth, Uncounted
from orchestrator.domain.counting import STOPPED_SECONDS, believed
from orchestrator.domain.sweeping import FIRST_TICKETS, tickets_to_reissue

counts = st.integers(-3, 5)
own = st.builds(
    Depth,
    ready=counts,
    unacked=st.none() | counts,
    consumers=st.none(),
    source=st.just("own"),
    age_seconds=st.just(0.0),
    has_leader=st.none() | st.booleans(),
    took_seconds=st.sampled_from([0.0, SLOW_SECONDS, 2.0]),
)
sampled = st.builds(
    Depth,
    ready=counts,
    unacked=st.none() | counts,
    consumers=st.none(),
    source=st.just("statistics"),
    age_seconds=st.sampled_from([0.0, 5.0, STOPPED_SECONDS + 1]),
    total=st.none() | counts,
    has_leader=st.none() | st.booleans(),
    sampled=st.just(True),
)
silent = st.builds(Uncounted, source=st.just("statistics"), cause=st.just("404."))
witnesses = st.lists(own | sampled | silent, max_size=4)


@settings(max_examples=1000)
@given(said=witnesses)
def test_a_false_zero_is_never_believed_and_never_invents_a_number(said: list[Depth | Uncounted]) -> None:
    found = believed(said)

    if found.value is None:
        assert found.why
        return
    first = said[0]
    assert isinstance(first, Depth)
    assert not first.sampled
    assert found.value == first.ready >= 0
    if found.value == 0:
        assert not first.slow_zero
        for one in said:
            assert isinstance(one, Depth)
            assert one.has_leader is not False
            assert one.ready == 0
            assert not (one.sampled and one.age_seconds > STOPPED_SECONDS)


@given(said=witnesses)
def test_only_silence_may_end_by_itself(said: list[Depth | Uncounted]) -> None:
    found = believed(said)
    if found.silent:
        assert any(isinstance(one, Uncounted) or (one.sampled and one.age_seconds > STOPPED_SECONDS) for one in said)
        assert not any(isinstance(one, Depth) and (one.has_leader is False or one.slow_zero) for one in said)


@given(ready=st.integers(0, 100_000), tickets=st.integers(0, 100_000), pending=st.integers(0, 1000))
def test_no_more_tickets_than_are_missing_and_few_where_none_is_counted(ready: int, tickets: int, pending: int) -> None:
    count = tickets_to_reissue(ready, tickets, pending)
    assert 0 <= count <= max(0, ready - tickets - pending)
    assert tickets > 0 or count <= FIRST_TICKETS
    assert count > 0 or ready <= tickets + pending
