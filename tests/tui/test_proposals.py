"""What an action would do: every thing chosen is acted on or left out with a reason, and named."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.api import RowCounts
from buildyard.errors import Forbidden, Overloaded, ProducerUnavailable, TooLarge
from tests.tui.samples import agent, at, identifier, letter, pool, summary, worker
from tui.activity import MOST_ENTRIES, Activity, told
from tui.orders import Order, Verb, outcome_of
from tui.proposals import MOST_TARGETS, acts_on, intake_verb, proposal
from tui.state import Ref, Store
from tui.state import events as e

STATUSES = ("Received", "Queued", "Running", "Cancelling", "Succeeded", "Failed", "Cancelled", "Odd")
REFS = st.one_of(
    st.builds(lambda n: Ref("build", identifier(n)), st.integers(1, 12)),
    st.builds(lambda n: Ref("dead", identifier(n)), st.integers(1, 12)),
    st.builds(lambda n: Ref("agent", f"linux-{n}-1"), st.integers(1, 5)),
    st.sampled_from([Ref("pool", "linux"), Ref("pool", "mars"), Ref("log", "x"), Ref("decision", "1")]),
)


def farm() -> Store:
    store = Store()
    builds = [summary(number, status) for number, status in enumerate(STATUSES, 1)]
    batch = summary(9, "Failed").model_copy(update={"rows": RowCounts(total=3, succeeded=1, failed=2)})
    store.apply(e.BuildsSeen(at(1), (*builds, batch)))
    store.apply(e.AgentsSeen(at(1), (agent("linux-1-1"), agent("linux-2-1", state="Draining"))))
    store.apply(e.WorkersSeen(at(1), (worker("linux-3-1", "Pending"),)))
    store.apply(e.PoolsSeen(at(1), (pool(),)))
    store.apply(e.DeadSeen(at(1), (letter(6),)))
    return store


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(get_args(Verb)), st.lists(REFS, max_size=12), st.sampled_from(["", "High"]))
def test_every_thing_chosen_is_a_target_or_left_out_with_a_reason(verb: Verb, chosen: list[Ref], priority: str) -> None:
    shown = proposal(farm(), verb, chosen, hidden=chosen[:2], priority=priority)
    assert len(shown.targets) + len(shown.left_out) == len(set(chosen))
    assert all(target.ref.kind == acts_on(verb) for target in shown.targets)
    assert all(target.ref.id in target.text for target in shown.targets), "each is named by its whole id"
    assert all(one.why for one in shown.left_out)
    assert shown.title
    assert shown.effect.endswith(".")


@pytest.mark.parametrize(
    ("verb", "statuses"),
    [
        ("cancel", {"Received", "Queued", "Running", "Odd"}),
        ("retry", {"Succeeded", "Failed", "Cancelled"}),
        ("reprioritise", {"Received", "Queued", "Running", "Cancelling", "Odd"}),
        ("retry_failed", set()),
    ],
)
def test_builds_are_acted_on_in_the_states_that_allow_it(verb: Verb, statuses: set[str]) -> None:
    chosen = [Ref("build", identifier(number)) for number in range(1, len(STATUSES) + 1)]
    shown = proposal(farm(), verb, chosen)
    assert {STATUSES[int(target.ref.id[:8], 16) - 1] for target in shown.targets} == statuses


def test_a_pool_is_paused_unless_all_that_are_chosen_are_paused() -> None:
    store = farm()
    assert intake_verb(store, [Ref("pool", "linux"), Ref("pool", "mars")]) == "pause"
    paused = pool().model_copy(update={"intake": pool().intake.model_copy(update={"paused": True})})
    store.apply(e.PoolsSeen(at(2), (paused, pool("windows"))))
    assert intake_verb(store, [Ref("pool", "linux")]) == "resume"
    assert intake_verb(store, [Ref("pool", "linux"), Ref("pool", "windows")]) == "pause"
    (left,) = proposal(store, "pause", [Ref("pool", "linux")]).left_out
    assert left.why == "it is paused already"


def test_there_is_an_end_to_what_one_action_does() -> None:
    store = Store()
    store.apply(e.BuildsSeen(at(1), tuple(summary(number) for number in range(1, MOST_TARGETS + 3))))
    shown = proposal(store, "cancel", [Ref("build", key) for key in store.builds])
    assert len(shown.targets) == MOST_TARGETS
    assert len(shown.left_out) == 2


def order(number: int) -> Order:
    return Order("cancel", Ref("build", identifier(number)), f"key-{number}")


def test_the_activity_keeps_the_newest_and_whatever_is_under_way() -> None:
    activity = Activity()
    activity.add(order(0), "cancel 0", at(0))
    for number in range(1, MOST_ENTRIES + 10):
        activity.add(order(number), f"cancel {number}", at(number))
        activity.begun(f"key-{number}")
        activity.ended(f"key-{number}", "Done", "It is done.")
    kept = activity.newest_first()
    assert len(kept) == MOST_ENTRIES
    assert kept[0].text == f"cancel {MOST_ENTRIES + 9}"
    assert (kept[-1].text, activity.under_way) == ("cancel 0", 1)


def test_what_came_of_many_orders_is_told_in_one_sentence() -> None:
    activity = Activity()
    for number, outcome in enumerate(("Done", "Done", "Refused", "Unknown")):
        activity.add(order(number), f"cancel {number}", at(0))
        activity.ended(f"key-{number}", outcome, "So.")  # type: ignore[arg-type]
    said = told(tuple(reversed(activity.newest_first())))
    assert said == "Of 4: 2 done, 1 refused, 1 unknown. cancel 2: So."


def test_only_a_server_that_fell_silent_leaves_it_open_whether_an_order_was_carried_out() -> None:
    assert outcome_of(ProducerUnavailable("Gone."))[1].startswith("Nobody knows whether it was done: Gone.")
    assert outcome_of(Overloaded("Too many builds.")) == (
        "Unknown",
        "Not done for now: Too many builds. Enter asks again.",
    )
    assert outcome_of(TooLarge("Too long."))[0] == "Refused"
    assert outcome_of(Forbidden("No.", remedy="Ask."))[1] == "You may not do this: No. Ask."
