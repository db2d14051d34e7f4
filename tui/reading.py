"""Reading sources into stores: the farm all the time, and its last minutes while somebody looks back.

What is shown is `source` with `store`; what the dashboard was started over is `present`. They are the same but while
one looks back: then the farm is read on, into its own store, and nothing of it is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from textual import work

from tui.blackbox import BlackBox
from tui.exporting import ExportingApp
from tui.source import Seekable, Source
from tui.source.replay import Replay
from tui.state import Ref, Store
from tui.state.events import Event
from tui.tape import Tape


@dataclass(eq=False)
class Known:
    """What was told by one source."""

    store: Store = field(default_factory=Store)
    heard: set[type] = field(default_factory=set)
    """Types of the events that ever came: what was never told of is loading, not empty."""


class ReadingApp(ExportingApp):
    """An app over a source, which can look back."""

    def __init__(self, source: Source, live: Callable[[], Source] | None = None) -> None:
        super().__init__()
        self.live = live
        """Makes the source of the farm itself, where `source` is a recording."""
        self.present = source
        self.source = source
        self.known = self._of_present = Known()
        self.tape: Tape | None = None
        """What is being recorded."""
        self.black_box: BlackBox | None = None
        """The last minutes of a farm; None for a recording."""
        self._changed: set[Ref] = set()
        self._all_changed = False

    @property
    def store(self) -> Store:
        """All that is known of what is shown. An empty one takes its place when time goes back: do not keep it."""
        return self.known.store

    @property
    def heard(self) -> set[type]:
        """Types of the events that ever came."""
        return self.known.heard

    @property
    def looks_back(self) -> bool:
        """Whether the last minutes of the farm are shown, and not what is now."""
        return self.source is not self.present

    def watch_anew(self) -> None:
        """Tell the source what the open screen looks at."""
        raise NotImplementedError

    def note_fault(self, where: str, error: Exception) -> None:
        """Keep what went wrong in the dashboard itself, for a report."""
        raise NotImplementedError

    # ---------------------------------------------------------------- the present

    def begin(self, source: Source) -> None:
        """Show another source in place of the one the dashboard was started over."""
        self.present = self.source = source
        self.known = self._of_present = Known()
        self._changed.clear()
        self._all_changed = True
        self.read_present()

    @work(exclusive=True, group="present", exit_on_error=False)
    async def read_present(self) -> None:
        """The one task that reads the source."""
        if not isinstance(self.present, Seekable):
            self.black_box = BlackBox(self.present.now(), self.present.title)
        await self._read(self.present, self._of_present)

    async def _read(self, source: Source, known: Known) -> None:
        async with source:
            self.watch_anew()
            generation = source.generation if isinstance(source, Seekable) else 0
            async for events in source.batches():
                if isinstance(source, Seekable) and source.generation != generation:
                    generation = source.generation
                    self._forget(known)
                for event in events:
                    self._take(event, known)

    def _take(self, event: Event, known: Known) -> None:
        known.heard.add(type(event))
        try:
            changed = known.store.apply(event)
            if known is self.known:
                self._changed |= changed
            if known is self._of_present:
                self._keep(event)
        except Exception as error:  # noqa: BLE001 - one event that cannot be taken in must not end the dashboard
            self.note_fault(f"an event that could not be taken in: {type(event).__name__}", error)

    def _keep(self, event: Event) -> None:
        now = self.present.now()
        if self.black_box is not None:
            self.black_box.add(event, now)
        if self.tape is not None:
            self.tape.add(event, now)

    def _forget(self, known: Known) -> None:
        known.store = Store()
        known.heard.clear()
        self._all_changed = self._all_changed or known is self.known

    # ---------------------------------------------------------------- the past

    def show_past(self, past: Replay) -> None:
        """Show what was, while what is goes on being read."""
        self.known = Known()
        self.source = past
        self._all_changed = True
        self._read_past(past, self.known)

    def show_present(self) -> None:
        """Show what is now."""
        self.workers.cancel_group(self, "past")
        self.source, self.known = self.present, self._of_present
        self._changed.clear()
        self._all_changed = True
        self.watch_anew()

    @work(exclusive=True, group="past", exit_on_error=False)
    async def _read_past(self, past: Replay, known: Known) -> None:
        await self._read(past, known)
