"""The newest live lines are kept within bounds, and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import StageName
from buildyard.contracts.messages import LogLine, LogLines
from orchestrator.domain.recent_lines import RecentLines
from tests.orchestrator.world import START, an_id

MESSAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=60)
"""(build, number of lines) of each message."""


def a_message(build: int, first: int, count: int) -> LogLines:
    lines = tuple(LogLine(n=n, at=START, stage=StageName.BUILD, text="text") for n in range(first, first + count))
    return LogLines(build_id=an_id(build), job_id=an_id(9), attempt=1, lines=lines)


@given(MESSAGES)
def test_no_more_is_kept_than_allowed_and_the_newest_always_is(sent: list[tuple[int, int]]) -> None:
    recent, told = RecentLines(per_build=10, in_all=20), dict[int, list[LogLines]]()
    for build, count in sent:
        before = told.setdefault(build, [])
        before.append(a_message(build, before[-1].lines[-1].n + 1 if before else 1, count))
        recent.add(before[-1])

        kept = {one: recent.of(an_id(one)) for one in told}
        counts = {one: sum(len(message.lines) for message in found) for one, found in kept.items()}
        assert all(count <= 10 for count in counts.values())
        assert sum(counts.values()) <= 20
        assert kept[build][-1] == before[-1]
        assert all(list(found) == told[one][-len(found) :] for one, found in kept.items() if found)


def test_one_message_beyond_the_bound_is_kept_alone() -> None:
    recent = RecentLines(per_build=2, in_all=2)
    recent.add(a_message(1, 1, 1))
    recent.add(a_message(1, 2, 5))

    assert recent.of(an_id(1)) == (a_message(1, 2, 5),)


def test_a_forgotten_build_makes_room() -> None:
    recent = RecentLines(per_build=10, in_all=10)
    recent.add(a_message(1, 1, 9))
    recent.forget(an_id(1))
    recent.forget(an_id(1))
    recent.add(a_message(2, 1, 9))

    assert recent.of(an_id(1)) == ()
    assert recent.of(an_id(2)) == (a_message(2, 1, 9),)
