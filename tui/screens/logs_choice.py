"""Which logs are chosen, and their lines merged; it goes on over the restarts of workers. Without a screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tui.screens.logs_merge import MergedLog
from tui.screens.logs_sources import SourceRows, followed, ref_of, slot_of
from tui.state import Ref, Store


class Choice:
    """What is chosen of the tree.

    A slot that is chosen is followed from worker to worker: where the next one takes over, the log has a seam.
    """

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self.chosen: set[str] = set()
        """Keys of lines of the tree that have a log: `slot/NAME` and `build/ID`."""
        self.rows = SourceRows(store, self.chosen)
        self.merged = MergedLog({})
        self.left_out = 0
        """Chosen logs that are not followed: there are too many."""
        self.by_source = False
        """Whether lines are shown one source after the other, instead of by time."""
        self._now_of: dict[str, tuple[str, str]] = {}
        """Key -> (stream, label) that is followed for it now."""
        self._asked: dict[str, tuple[str, str]] = {}
        """Key -> (stream, label) where a log was asked for by its name."""
        self._since = float("-inf")
        self._begun: tuple[Store, frozenset[str]] | None = None

    @property
    def streams(self) -> tuple[str, ...]:
        """The logs that are followed now."""
        return tuple(stream for stream, _ in self._now_of.values())

    @property
    def labels(self) -> dict[str, str]:
        """What stands before the lines of each log."""
        return dict(self._now_of.values())

    # ---------------------------------------------------------------- choosing

    def toggle(self, key: str) -> None:
        """Take a log in or out; of a line with others under it all of them."""
        line = self.rows.get(key)
        below = set(line.below) if line is not None and line.below else {key} if line and line.stream else set()
        if below <= self.chosen:
            self.chosen -= below
        else:
            self.chosen |= below

    def all_or_none(self, keys: Iterable[str]) -> None:
        """Take in all these; none where any is in already."""
        if self.chosen:
            self.chosen.clear()
        else:
            self.chosen.update(key for key in keys if (line := self.rows.get(key)) is not None and line.stream)

    def alone(self, key: str) -> None:
        """Show this and nothing else."""
        self.chosen.clear()
        self.toggle(key)

    def only(self, stream: str) -> str:
        """Show the log of that name alone; gives the key of its line."""
        kind, _, name = stream.partition("/")
        key = f"slot/{slot_of(name)}" if kind == "agent" else stream
        self.chosen.clear()
        self.chosen.add(key)
        self._asked = {key: (stream, name)}
        self._begun = None
        self.rows.refresh()
        return key

    def look_back(self, seconds: float | None, now: float) -> None:
        """Show only what is not older than so many seconds; None shows all."""
        self._since = float("-inf") if seconds is None else now - seconds
        self._begun = None

    def order(self, *, by_source: bool) -> None:
        """Show lines one source after the other, or by time."""
        self.by_source = by_source
        self._begun = None

    # ---------------------------------------------------------------- lines

    def update(self, now: float) -> bool:
        """Take in what is new, at `now` seconds since 1970; whether other logs are followed than before."""
        store = self._store()
        before = self.streams
        wanted = self._wanted()
        if self._begun != (store, frozenset(wanted)):
            self._begin(store, wanted)
        self._hand_over(wanted, now)
        self.merged.advance(store, now)
        return self.streams != before

    def _wanted(self) -> dict[str, tuple[str, str]]:
        lines, self.left_out = followed((self.rows.row(key)[0] for key in self.rows.keys()), self.chosen)  # noqa: SIM118
        wanted = {line.key: (line.stream, line.label) for line in lines}
        for key in self.chosen - wanted.keys():
            if (known := self._now_of.get(key) or self._asked.get(key)) is not None and not self.left_out:
                wanted[key] = known  # its worker has gone, and the next one is not there yet
        return wanted

    def _begin(self, store: Store, wanted: dict[str, tuple[str, str]]) -> None:
        self._now_of = dict(wanted)
        for key, (stream, label) in self._asked.items():
            if key in wanted and wanted[key][0] != stream:
                self._now_of[key] = (stream, label)  # an earlier worker of the slot: the next one follows with a seam
        self.merged = MergedLog(dict(self._now_of.values()), since=self._since, by_source=self.by_source)
        self.merged.begin(store)
        self._begun = (store, frozenset(wanted))
        self._asked = {key: one for key, one in self._asked.items() if key in self.chosen}

    def _hand_over(self, wanted: dict[str, tuple[str, str]], now: float) -> None:
        for key, (stream, label) in wanted.items():
            before, named = self._now_of[key]
            if stream != before:
                seam = f"{named} has ended; {label} goes on in its place"
                self.merged.advance(self._store(), now)
                self.merged.add_stream(stream, label, seam, now)
                self._now_of[key] = (stream, label)
                self._asked.pop(key, None)

    # ---------------------------------------------------------------- things

    def ref_of(self, key: str | None) -> Ref | None:
        """The thing that a line of the tree stands for."""
        line = self.rows.get(key) if key is not None else None
        return ref_of(line) if line is not None else None

    def writer_of(self, label: str) -> Ref | None:
        """The agent or build whose lines have this label."""
        for stream, known in self.merged.streams.items():
            if known == label:
                kind, _, name = stream.partition("/")
                return Ref("agent" if kind == "agent" else "build", name)
        return None
