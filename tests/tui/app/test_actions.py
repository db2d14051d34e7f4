"""Actions: proposed, confirmed and carried out, with their outcomes; each by its key."""

from __future__ import annotations

import asyncio

from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList

from buildyard.contracts.api import RowCounts
from buildyard.errors import Conflict, Forbidden, ProducerUnavailable, Unauthorized
from tests.tui.app.coverage import covers
from tests.tui.app.farms import Obeying, dashboard, obeying, ready, screen_text, toasts, words
from tests.tui.samples import agent, at, identifier, letter, summary
from tests.tui.screens.builds_farm import FAILED, NOW, QUEUED, RUNNING, farm, pool
from tui.app import FarmApp
from tui.orders import Done
from tui.screens.activity import ActivityWindow
from tui.screens.base import FarmScreen
from tui.screens.confirming import Confirm
from tui.screens.menus import Menu
from tui.state import Ref
from tui.state.events import AgentsSeen, BuildsSeen, DeadSeen, Event, PoolsSeen

WIDE = (120, 40)
BATCH = 7


def told() -> tuple[Event, ...]:
    """The small farm with a dead letter, a batch that half failed and a second agent."""
    rows = RowCounts(total=10, succeeded=6, failed=4)
    batch = summary(BATCH, "Failed").model_copy(update={"rows": rows})
    agents = (agent("linux-9-1", RUNNING, "Busy"), agent("linux-8-1"))
    return (
        *farm(),
        BuildsSeen(at(91), (batch,)),
        AgentsSeen(at(92), agents),
        DeadSeen(at(93), (letter(FAILED), letter(6))),
    )


def writing() -> FarmApp:
    return obeying(*told(), now=at(99))


def source_of(app: FarmApp) -> Obeying:
    assert isinstance(app.source, Obeying)
    return app.source


async def on(pilot: Pilot[None], screen: str, ref: Ref | None = None) -> FarmApp:
    """The app with a screen open, the cursor on a thing."""
    app = await ready(pilot)
    app.open_screen(screen, ref)  # type: ignore[arg-type]
    await pilot.pause()
    await ready(pilot)
    return app


async def confirm(pilot: Pilot[None], *keys: str) -> None:
    """Press keys that lead to the window, then its other button."""
    await pilot.press(*keys)
    await pilot.pause()
    assert isinstance(pilot.app.screen, Confirm), screen_text(pilot.app)  # type: ignore[arg-type]
    await pilot.press("tab", "enter")
    await pilot.pause()


async def settled(pilot: Pilot[None]) -> None:
    """Until every order has its outcome."""
    app = pilot.app
    assert isinstance(app, FarmApp)
    async with asyncio.timeout(60):
        while app.acting.activity.under_way or any(one.group == "acts" for one in app.workers):
            await pilot.pause(0.01)
    await pilot.pause()


def outcomes(app: FarmApp) -> list[tuple[str, str, str]]:
    """(verb, id, outcome) of every order, the oldest first."""
    entries = reversed(app.acting.activity.newest_first())
    return [(one.order.verb, one.order.ref.id, one.stage) for one in entries]


# ---------------------------------------------------------------- each command


@covers("act.cancel")
async def test_a_build_is_cancelled_after_a_window_that_names_it_and_defaults_to_nothing() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        await pilot.press("C")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        text = words(app)
        assert "Cancel one build?" in text
        assert f"project-2 · Running · {identifier(RUNNING)}" in text
        assert "what runs of it is stopped" in text
        assert "POST /api/v1/builds/ID/cancel, once" in text
        assert app.focused is app.screen.query_one("#leave", Button)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, FarmScreen)
        assert source_of(app).orders == []
        source_of(app).answers.append(Done("It is Cancelling."))
        await confirm(pilot, "C")
        await settled(pilot)
        assert outcomes(app) == [("cancel", identifier(RUNNING), "Done")]


@covers("act.retry")
async def test_an_ended_build_is_retried_and_enter_in_the_activity_leads_to_the_new_one() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(FAILED)))
        made = Ref("build", identifier(QUEUED))
        source_of(app).answers.append(Done(f"{made.id} is Queued.", made))
        await confirm(pilot, "T")
        await settled(pilot)
        assert outcomes(app) == [("retry", identifier(FAILED), "Done")]
        await pilot.press("A")
        await pilot.pause()
        assert "is Queued." in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        await ready(pilot)
        assert app.farm_screen is not None
        assert app.farm_screen.cursor_ref() == made


@covers("act.retry_failed")
async def test_only_the_failed_rows_of_a_batch_are_retried_and_no_other_build() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(FAILED)))
        await pilot.press("F")
        await pilot.pause()
        assert isinstance(app.screen, FarmScreen)
        assert "it is no batch" in toasts(app)
        await on(pilot, "builds", Ref("build", identifier(BATCH)))
        await confirm(pilot, "F")
        await settled(pilot)
        assert outcomes(app) == [("retry_failed", identifier(BATCH), "Done")]


@covers("act.reprioritise")
async def test_a_priority_is_chosen_first_and_then_given() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(QUEUED)))
        await pilot.press("!")
        await pilot.pause()
        assert isinstance(app.screen, Menu)
        assert "Critical" in screen_text(app)
        await confirm(pilot, "enter")
        await settled(pilot)
        assert [(order.verb, order.priority) for order in source_of(app).orders] == [("reprioritise", "Critical")]


@covers("act.drain")
async def test_agents_are_drained_with_the_reason_that_was_typed() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "agents", Ref("agent", "linux-9-1"))
        await pilot.press("D")
        await pilot.pause()
        assert f"linux-9-1 · Busy · works on {identifier(RUNNING)}" in words(app)
        await pilot.press("shift+tab", *"disk", "enter", "tab", "enter")
        await settled(pilot)
        assert [(one.ref.id, one.reason) for one in source_of(app).orders] == [("linux-9-1", "disk")]


@covers("act.undrain")
async def test_an_agent_that_drains_is_let_take_work_again_and_no_other() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "agents", Ref("agent", "linux-9-1"))
        await pilot.press("U")
        await pilot.pause()
        assert "it does not drain" in toasts(app)
        source_of(app).tell(AgentsSeen(at(98), (agent("linux-9-1", RUNNING, "Draining"),)))
        await ready(pilot)
        await confirm(pilot, "U")
        await settled(pilot)
        assert [(one.verb, one.ref.id) for one in source_of(app).orders] == [("undrain", "linux-9-1")]


@covers("act.pause_intake")
async def test_a_pool_is_paused_and_a_paused_one_resumed_by_the_same_key() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "queues")
        await confirm(pilot, "I")
        await settled(pilot)
        source_of(app).tell(PoolsSeen(at(98), (pool(paused=True),)))
        await ready(pilot)
        await confirm(pilot, "I")
        await settled(pilot)
        assert [(one.verb, one.ref.id) for one in source_of(app).orders] == [("pause", "linux"), ("resume", "linux")]


@covers("act.requeue", "act.drop")
async def test_dead_letters_are_requeued_or_dropped_with_a_reason_that_is_asked_for() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "queues", Ref("dead", identifier(FAILED)))
        await confirm(pilot, "E")
        await settled(pilot)
        await on(pilot, "queues", Ref("dead", identifier(6)))
        await confirm(pilot, "X")
        assert isinstance(app.screen, Confirm)
        assert "Say why" in screen_text(app)
        assert app.focused is app.screen.query_one(Input)
        await pilot.press(*"old", "tab", "tab", "enter")
        await settled(pilot)
        assert [(one.verb, one.ref.id, one.reason) for one in source_of(app).orders] == [
            ("requeue", identifier(FAILED), ""),
            ("drop", identifier(6), "old"),
        ]


@covers("act.menu")
async def test_a_menu_offers_what_can_be_done_with_the_thing_and_nothing_else() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        await pilot.press("a")
        await pilot.pause()
        assert isinstance(app.screen, Menu)
        text = screen_text(app)
        assert "Cancel build: Cancel one build" in text
        assert "Change priority" in text
        assert "Retry" not in text
        await confirm(pilot, "enter")
        await settled(pilot)
        assert outcomes(app) == [("cancel", identifier(RUNNING), "Done")]


@covers("go.activity")
async def test_the_activity_tells_each_order_and_how_far_it_is() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        await pilot.press("A")
        await pilot.pause()
        assert "Nothing was done from here." in screen_text(app)
        await pilot.press("escape")
        source_of(app).may_answer.clear()
        await confirm(pilot, "C")
        await pilot.press("A")
        await pilot.pause()
        assert isinstance(app.screen, ActivityWindow)
        assert "▸ Doing cancel project-2" in words(app)
        source_of(app).answers.append(Conflict("The build has ended already: Succeeded."))
        source_of(app).may_answer.set()
        await settled(pilot)
        app.screen._show()
        await pilot.pause()
        assert "✗ Refused cancel project-2" in words(app)
        assert "It changed since it was shown: The build has ended already" in words(app)


# ---------------------------------------------------------------- many targets


async def test_marked_rows_are_all_acted_on_also_those_that_the_filter_hides_and_said_so() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds")
        await pilot.press("*", "/", *"project-1", "enter", "C")
        await pilot.pause()
        assert isinstance(app.screen, Confirm)
        text = words(app)
        assert "Cancel 2 builds?" in text
        assert f"project-2 · Running · {identifier(RUNNING)} (the filter hides it)" in text
        assert f"project-3 · Queued · {identifier(QUEUED)} (the filter hides it)" in text
        assert f"left out: project-1 · Failed · {identifier(FAILED)}: it has ended: Failed" in text
        assert "POST /api/v1/builds/ID/cancel, 2 times" in text
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert {one.ref.id for one in source_of(app).orders} == {identifier(RUNNING), identifier(QUEUED)}
        assert len({one.key for one in source_of(app).orders}) == 2
        await pilot.press("C")
        await pilot.pause()
        assert "it has ended: Failed" in toasts(app), "the marks are gone: the cursor counts again"


async def test_what_changes_between_window_and_answer_is_left_out_and_told() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds")
        await pilot.press("*", "C")
        await pilot.pause()
        source_of(app).tell(BuildsSeen(at(97), (summary(RUNNING, "Succeeded"),)))
        async with asyncio.timeout(60):
            while app.store.builds[identifier(RUNNING)].status != "Succeeded":
                await pilot.pause(0.01)
        await pilot.press("tab", "enter")
        await settled(pilot)
        assert [one.ref.id for one in source_of(app).orders] == [identifier(QUEUED)]
        assert ("cancel", identifier(RUNNING), "Refused") in outcomes(app)


async def test_hostile_names_are_letters_in_the_window_and_in_the_activity() -> None:
    evil = summary(8).model_copy(update={"project_name": "[/x]\x1b]52;c;AAAA\x07\u202e[red]"})
    async with obeying(*told(), BuildsSeen(at(97), (evil,)), now=at(99)).run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(8)))
        await pilot.press("C")
        await pilot.pause()
        assert "[/x]" in screen_text(app)
        await pilot.press("tab", "enter")
        await settled(pilot)
        await pilot.press("A")
        await pilot.pause()
        for never in ("\x1b", "\u202e", "\x07"):
            assert never not in screen_text(app)


# ---------------------------------------------------------------- what is refused, and what nobody knows


REFUSALS: dict[str, Exception] = {
    "You may not do this: Only operators may do this. Ask one.": Forbidden(
        "Only operators may do this.", remedy="Ask one."
    ),
    "The producer does not know you: This server needs a token.": Unauthorized("This server needs a token."),
    "It changed since it was shown: It has ended.": Conflict("It has ended."),
    "The dashboard failed: a fault of ours.": ValueError("a fault of ours"),
}


async def test_a_refusal_is_told_in_words_and_ends_nothing() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        for said, error in REFUSALS.items():
            source_of(app).answers.append(error)
            await confirm(pilot, "C")
            await settled(pilot)
            assert said in toasts(app)
            assert said in app.acting.activity.newest_first()[0].sentence
        assert [outcome for _, _, outcome in outcomes(app)] == ["Refused", "Refused", "Refused", "Unknown"]


async def test_an_order_without_an_answer_is_asked_again_with_the_same_key() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(FAILED)))
        source_of(app).answers.append(ProducerUnavailable("It broke off the connection."))
        await confirm(pilot, "T")
        await settled(pilot)
        assert outcomes(app) == [("retry", identifier(FAILED), "Unknown")]
        await pilot.press("A")
        await pilot.pause()
        assert "Nobody knows whether it was done" in words(app)
        await pilot.press("enter")
        await settled(pilot)
        first, again = source_of(app).orders
        assert first == again
        assert outcomes(app) == [("retry", identifier(FAILED), "Done")]


async def test_leaving_while_an_action_is_under_way_is_asked_about() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        source_of(app).may_answer.clear()
        await confirm(pilot, "C")
        await ready(pilot)
        assert "acting 1" in screen_text(app)
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, Menu)
        assert "1 actions are under way" in screen_text(app)
        await pilot.press("enter")
        assert app.is_running
        source_of(app).may_answer.set()
        await settled(pilot)


# ---------------------------------------------------------------- read-only


async def test_without_write_every_action_tells_how_to_start_it_and_asks_nothing() -> None:
    async with obeying(*told(), now=NOW, writable=False).run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds", Ref("build", identifier(RUNNING)))
        assert "RO" in screen_text(app)
        for presses, key in enumerate(("C", "T", "F", "!", "a"), 1):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, FarmScreen)
            assert toasts(app).count("This dashboard is read-only") == presses
        assert "buildyard tui --write" in toasts(app)
        assert source_of(app).orders == []
        await pilot.press("?")
        await pilot.pause()
        assert "Cancel build" not in screen_text(app)
        assert "buildyard tui --write" in words(app)


async def test_a_farm_that_is_no_live_one_cannot_be_changed_and_says_so() -> None:
    async with dashboard().run_test(size=WIDE) as pilot:
        app = await on(pilot, "builds")
        app.writable = True
        await pilot.press("C")
        await pilot.pause()
        assert "simulated" in toasts(app)


async def test_a_menu_of_nothing_says_so() -> None:
    async with writing().run_test(size=WIDE) as pilot:
        app = await on(pilot, "scaler")
        await pilot.press("a")
        await pilot.pause()
        assert isinstance(app.screen, FarmScreen)
        assert not app.screen.query(OptionList)
        assert "Nothing can be done with this now." in toasts(app)
