"""Actions from the key to the outcome: propose, confirm, ask the farm, tell what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from buildyard.clock import SystemClock
from buildyard.contracts.builds import Priority
from buildyard.errors import BuildyardError
from tui.activity import Activity, Entry, told
from tui.orders import Order, Verb, outcome_of
from tui.proposals import Proposal, acts_on, intake_verb, named, proposal, target_of
from tui.safe_text import plain
from tui.screens.activity import ActivityWindow
from tui.screens.confirming import Confirm
from tui.screens.menus import Choice
from tui.source import Changeable, Seekable
from tui.state import Ref

if TYPE_CHECKING:
    from tui.app import FarmApp

AT_ONCE = 4
"""Orders that are asked for at the same time."""
_TEXT_CHARACTERS = 100


class Acting:
    """What changes the farm, for one app."""

    def __init__(self, app: FarmApp) -> None:
        self._app = app
        self._clock = SystemClock()
        self.activity = Activity()

    @property
    def allowed(self) -> bool:
        """Whether the farm may be changed from here."""
        return self._app.writable and isinstance(self._app.source, Changeable)

    def why_not(self) -> str:
        """Why nothing is changed from here, and how to come to where it is."""
        start = "`buildyard tui --write` shows a farm and can change it."
        if self._app.looks_back:
            return "This is the past: there is nothing to change. V shows what is now."
        if isinstance(self._app.source, Seekable):
            return f"This is a recording: there is nothing to change. {start}"
        if not isinstance(self._app.source, Changeable):
            return f"This farm is simulated: there is nothing to change. {start}"
        return f"This dashboard is read-only: nothing is changed from here. {start}"

    # ---------------------------------------------------------------- from the key to the answer of the user

    def propose(self, verb: Verb, priority: str = "") -> None:
        """Show what a verb would do to the things chosen, and do it when it is confirmed."""
        screen = self._app.farm_screen
        chosen, hidden = screen.acted_on() if screen is not None else ((), frozenset[Ref]())
        store = self._app.store
        if verb == "pause":
            verb = intake_verb(store, chosen)
        if not chosen:
            self._app.tell("Nothing is chosen: put the cursor on a row, or mark several with space.")
            return
        shown = proposal(store, verb, chosen, hidden, priority=priority)
        if not shown.targets:
            self._app.tell(plain(_refusals(shown), limit=500))
            return
        if verb == "reprioritise" and not priority:
            choices = [Choice(one.wire, one.wire) for one in reversed(Priority)]
            self._app.choose("New priority", choices, lambda word: self.propose(verb, word))
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                if screen is not None:
                    screen.unmark()
                self._confirmed(shown, reason)

        self._app.push_screen(Confirm(shown), answered)

    def menu(self) -> None:
        """All that can be done with what is chosen."""
        screen = self._app.farm_screen
        chosen = screen.acted_on()[0] if screen is not None else ()
        store = self._app.store
        verbs: dict[Verb, str] = {}
        for verb, title in _MENU.items():
            wanted = intake_verb(store, chosen) if verb == "pause" else verb
            if any(target_of(store, verb, ref).kind == acts_on(verb) for ref in chosen):
                shown = proposal(store, wanted, chosen)
                if shown.targets:
                    verbs[wanted] = f"{title}: {shown.title}"
        if not verbs:
            self._app.tell("Nothing can be done with this now.")
            return
        self._app.choose("Actions", [Choice(verb, text) for verb, text in verbs.items()], self._chosen)

    def _chosen(self, verb: str) -> None:
        self.propose(next(one for one in _MENU if one == verb or (one, verb) == ("pause", "resume")))

    # ---------------------------------------------------------------- from there to the outcome

    def _confirmed(self, shown: Proposal, reason: str) -> None:
        """Give the orders; what has changed since it was shown, so that nothing is to be done, is told and left out."""
        store = self._app.store
        now = proposal(store, shown.verb, [target.ref for target in shown.targets], priority=shown.priority)
        ready = {target.ref for target in now.targets}
        orders, late = [], []
        for target in shown.targets:
            order = Order(shown.verb, target.ref, f"tui-{self._clock.new_id()}", reason, shown.priority)
            self.activity.add(order, self._text(order), self._app.source.now())
            if target.ref in ready:
                orders.append(order)
            else:
                self.activity.ended(order.key, "Refused", f"It changed since it was shown: {_refusals(now)}")
                late.append(order)
        if late:
            self._tell_of(late)
        self._give(orders)

    def again(self, key: str) -> None:
        """Give an order once more, with the same key: what was done is not done twice."""
        entry = self.activity.entry(key)
        self.activity.add(entry.order, entry.text, self._app.source.now())
        self._give([entry.order])

    def _give(self, orders: Sequence[Order]) -> None:
        if orders:
            self._app.run_worker(self._carry_out(orders), group="acts", exit_on_error=False)

    def _text(self, order: Order) -> str:
        what = f"priority {order.priority}" if order.priority else order.verb.replace("_", " ")
        return plain(f"{what} {named(self._app.store, order.ref)}", limit=_TEXT_CHARACTERS)

    async def _carry_out(self, orders: Sequence[Order]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(order: Order) -> None:
            async with room:
                await self._carry_out_one(order)

        async with asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(one(order))
        self._tell_of(orders)

    def _tell_of(self, orders: Sequence[Order]) -> None:
        said = told([self.activity.entry(one.key) for one in orders])
        self._app.tell(plain(f"{said} A lists what was done.", limit=500))

    async def _carry_out_one(self, order: Order) -> None:
        source = self._app.source
        assert isinstance(source, Changeable)
        self.activity.begun(order.key)
        try:
            done = await source.change(order)
        except BuildyardError as error:
            self.activity.ended(order.key, *outcome_of(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours leaves the other orders alone
            self._app.note_fault(f"the action {order.verb}", error)
            self.activity.ended(order.key, "Unknown", f"The dashboard failed: {error}. Enter asks again.")
        else:
            self.activity.ended(order.key, "Done", done.sentence, done.made)

    # ---------------------------------------------------------------- what was done

    def show_activity(self) -> None:
        """The list of what was done."""

        def chosen(key: str | None) -> None:
            if key is not None:
                self._go_to(self.activity.entry(key))

        self._app.push_screen(ActivityWindow(lambda: self.activity, utf8=self._app.utf8), chosen)

    def _go_to(self, entry: Entry) -> None:
        if entry.stage == "Unknown":
            self.again(entry.order.key)
        else:
            ref = entry.made or entry.order.ref
            self._app.go_to(Ref("build", ref.id) if ref.kind == "dead" else ref)


_MENU: dict[Verb, str] = {
    "cancel": "Cancel build",
    "retry": "Retry build",
    "retry_failed": "Retry failed part",
    "reprioritise": "Change priority",
    "drain": "Drain agent",
    "undrain": "Undrain agent",
    "pause": "Pause or resume",
    "requeue": "Requeue dead letter",
    "drop": "Drop dead letter",
}
HANDLERS: dict[str, Callable[[Acting], object]] = {
    "act.menu": Acting.menu,
    "act.cancel": lambda acting: acting.propose("cancel"),
    "act.retry": lambda acting: acting.propose("retry"),
    "act.retry_failed": lambda acting: acting.propose("retry_failed"),
    "act.reprioritise": lambda acting: acting.propose("reprioritise"),
    "act.drain": lambda acting: acting.propose("drain"),
    "act.undrain": lambda acting: acting.propose("undrain"),
    "act.pause_intake": lambda acting: acting.propose("pause"),
    "act.requeue": lambda acting: acting.propose("requeue"),
    "act.drop": lambda acting: acting.propose("drop"),
    "go.activity": Acting.show_activity,
}
"""What each command of the registry does."""


def _refusals(shown: Proposal) -> str:
    """Why nothing is to be done, told of the first three."""
    return "; ".join(f"{one.text}: {one.why}" for one in shown.left_out[:3])
