"""A panel: a title, what it shows, and how well that is known. Each panel has its own state, and fails alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui import commands
from tui.faults import told
from tui.format import Tone, age
from tui.state import Ref
from tui.state.events import (
    AgentsSeen,
    BuildsSeen,
    DeadSeen,
    DecisionsSeen,
    PartSeen,
    PoolsSeen,
    SourceName,
    SourceSeen,
    WorkersSeen,
)
from tui.widgets.line_view import LineView

Changed = frozenset[Ref] | None
"""What changed since the last call; None: everything may have."""
Condition = Literal["loading", "well", "stale", "down", "unreached", "withheld", "partly", "failed"]
_WORST: tuple[Condition, ...] = ("well", "stale", "down")


@dataclass(frozen=True, slots=True)
class PanelState:
    """How well a panel's data are known: a word beside the title, and lines to show in place of data."""

    condition: Condition
    word: str = ""
    tone: Tone = "muted"
    lines: tuple[tuple[str, Tone], ...] = ()
    """Shown in place of the content; () where there is content to show."""


WELL = PanelState("well")
_PARTS: Mapping[type, str] = {
    PoolsSeen: "producer/pools",
    BuildsSeen: "producer/newest",
    AgentsSeen: "producer/agents",
    DeadSeen: "producer/dead",
    WorkersSeen: "scaler/workers",
    DecisionsSeen: "scaler/decisions",
}
"""Which part of what a source tells brings events of a type."""
_AFTER_A_FAULT = "The others go on. R tries it again; `Report a fault`, by : and its name, tells what to send."


def panel_state(
    needed: Collection[SourceName],
    known: Mapping[str, SourceSeen],
    now: datetime,
    *,
    loaded: bool = True,
    waited: float = 0.0,
    withheld: Sequence[PartSeen] = (),
) -> PanelState:
    """The state of a panel from the connections that it needs.

    Args:
        needed: the sources whose data it shows; the worst of them counts.
        known: how the connections are.
        now: the source's time.
        loaded: whether what it shows was ever read.
        waited: seconds since the panel began to wait.
        withheld: parts of what it shows that are not told.
    """
    seen = [known[name] for name in needed if name in known]
    for one in seen:
        if one.last_ok is None and one.connection == "down":
            return PanelState("unreached", "never connected", "bad", _unreached(one, now))
    if withheld and not loaded:
        return _withheld(withheld)
    if not loaded or len(seen) < len(needed) or any(one.last_ok is None for one in seen):
        return PanelState("loading", "loading", "waiting", ((f"loading … {age(waited)}", "muted"),))
    worst = max(seen, key=lambda one: _grade(one.connection), default=None)
    if worst is None or worst.connection not in {"stale", "down"}:
        return PanelState("partly", f"in part: {withheld[0].cause}", "warning") if withheld else WELL
    silent = age((now - worst.last_ok).total_seconds()) if worst.last_ok else "?"
    if worst.connection == "stale":
        return PanelState("stale", f"STALE {silent}", "warning")
    return PanelState("down", f"DOWN {silent} · {_retry(worst, now)} · {worst.cause}", "bad")


def _withheld(parts: Sequence[PartSeen]) -> PanelState:
    """What stands in place of data that are not told."""
    forbidden = any(one.forbidden for one in parts)
    lines: list[tuple[str, Tone]] = []
    for one in parts:
        said = "You may not see this" if one.forbidden else f"The {one.source} does not tell this"
        lines.append((f"{said}: {one.cause}", "warning"))
        if one.remedy:
            lines.append((one.remedy, "plain"))
    if not forbidden:
        lines.append(("It may be of another version: `buildyard doctor` compares them.", "plain"))
    lines.append(("It is asked again every half minute.", "muted"))
    return PanelState("withheld", "NOT PERMITTED" if forbidden else "NOT TOLD", "warning", tuple(lines))


def _grade(connection: str) -> int:
    word: Condition = "stale" if connection == "stale" else "down" if connection == "down" else "well"
    return _WORST.index(word)


def _retry(seen: SourceSeen, now: datetime) -> str:
    if seen.retry_at is None:
        return "R tries again"
    return f"again in {age((seen.retry_at - now).total_seconds())}, R now"


def _unreached(seen: SourceSeen, now: datetime) -> tuple[tuple[str, Tone], ...]:
    lines: list[tuple[str, Tone]] = [(seen.cause or f"The {seen.source} does not answer.", "bad")]
    lines.append((f"Asked: {seen.address}", "plain"))
    if seen.remedy:
        lines.append((seen.remedy, "plain"))
    lines.append((f"`buildyard doctor` finds out more. {_retry(seen, now)}.", "muted"))
    return tuple(lines)


class PanelHead(LineView):
    """One line: the title to the left, the state to the right of it."""

    DEFAULT_CSS = """
    PanelHead { height: 1; background: $panel; text-style: bold; }
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._state = WELL

    def show(self, title: str, state: PanelState) -> None:
        """Show this; drawn only where it differs."""
        if (title, state) != (self._title, self._state):
            self._title, self._state = title, state
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """The line."""
        pieces: list[tuple[str, str]] = [(f" {self._title} ", "strong"), (f" {self._state.word}", self._state.tone)]
        return self.runs_strip(pieces if y == 0 else [], self.size.width)


class PanelNote(LineView):
    """What stands in place of a panel's content."""

    DEFAULT_CSS = "PanelNote { height: 1fr; padding: 0 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[tuple[str, Tone], ...] = ()

    def show(self, lines: tuple[tuple[str, Tone], ...]) -> None:
        """Show these lines."""
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line, wrapped where it is too long."""
        width = max(1, self.size.width)
        rows = [
            (text[at : at + width], tone) for text, tone in self._lines for at in range(0, max(1, len(text)), width)
        ]
        return self.runs_strip([rows[y]] if y < len(rows) else [], width)


class Panel(Vertical):
    """A titled part of a screen around one content widget.

    Args:
        title: short words.
        content: the widget; it gets the focus.
        kind: which commands apply while it has the focus.
        update: brings the content up to date; called with what changed, or None for everything. When it raises, this
            panel alone shows so.
        sources: whose data it shows.
        needs: event types of `tui.state.events` of which one must have come before there is anything to show.
    """

    DEFAULT_CSS = """
    Panel { height: 1fr; }
    Panel > .panel--content { height: 1fr; }
    Panel.-dim > .panel--content { opacity: 60%; }
    Panel:focus-within > PanelHead { background: $primary; color: $text; }
    """

    class Failed(Message):
        """Something went wrong in a panel, which alone shows so."""

        def __init__(self, panel: Panel, error: Exception) -> None:
            super().__init__()
            self.panel, self.error = panel, error

    def __init__(
        self,
        title: str,
        content: Widget,
        *,
        kind: commands.Panel,
        update: Callable[[Changed], None],
        sources: tuple[SourceName, ...] = ("producer",),
        needs: tuple[type, ...] = (),
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.title = title
        self.content = content
        self.kind: commands.Panel = kind
        self.sources = sources
        self.needs = needs
        self._update_failure = self._drawing_failure = ""
        self._update = update
        self._head = PanelHead(title)
        self._note = PanelNote()
        self._note.display = False

    def compose(self) -> ComposeResult:
        """Title, content, and what may stand in its place."""
        self.content.add_class("panel--content")
        yield self._head
        yield self.content
        yield self._note

    @property
    def failure(self) -> str:
        """What went wrong in it; "" while nothing did."""
        return self._drawing_failure or self._update_failure

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of what sources tell that it shows."""
        return tuple(_PARTS[kind] for kind in self.needs if kind in _PARTS)

    def update_safely(self, changed: Changed) -> None:
        """Bring the content up to date; a fault stays in this panel."""
        try:
            self._update(changed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other panels live on
            self._update_failure = told(error)
            self.post_message(self.Failed(self, error))
        else:
            if changed is None:
                self._update_failure = ""

    def try_again(self) -> None:
        """Draw anew what could not be drawn."""
        self._drawing_failure = ""

    def on_line_view_broke(self, message: LineView.Broke) -> None:
        """Its content cannot be drawn: a note stands in its place until somebody tries again."""
        message.stop()
        if not self._drawing_failure:
            self._drawing_failure = told(message.error)
            self.show_state(WELL)
            self.post_message(self.Failed(self, message.error))

    def show_state(self, state: PanelState) -> None:
        """Show how well its data are known."""
        if self.failure:
            why: tuple[str, Tone] = (f"This panel failed: {self.failure}", "bad")
            state = PanelState("failed", "FAILED", "bad", (why, (_AFTER_A_FAULT, "muted")))
        self._head.show(self.title, state)
        self._note.show(state.lines)
        instead = bool(state.lines)
        if self._note.display != instead:
            self._note.display = instead
            self.content.display = not instead
        self.set_class(state.condition in {"stale", "down"}, "-dim")
