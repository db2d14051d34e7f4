"""The part of a build's log that belongs to one line of its tree, read from the store bit by bit."""

from __future__ import annotations

from itertools import groupby

from tui.screens.builds_tree import Branch
from tui.state import Store
from tui.state.events import LogLine, log_of_build
from tui.state.logs import Break, Item
from tui.widgets.log_levels import Level
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogEntry, LogRing


class StageLog:
    """A reader of one build's log for one branch; `feed` what came since into the pane that shows `ring`."""

    def __init__(self, build_id: str, branch: Branch) -> None:
        self.branch = branch
        self.ring = LogRing()
        self._stream = log_of_build(build_id)
        self._position = 0

    def feed(self, store: Store, pane: LogPane | None = None) -> int:
        """Take in what came since; draws through `pane` where one shows it. How many lines and breaks were new."""
        stream = store.logs.get(self._stream)
        if stream is None:
            return 0
        into = pane or self.ring
        if stream.end < self._position:
            self._position = 0
            into.seam("the log was read anew")
        read = stream.read(self._position)
        self._position = read.position
        if read.skipped:
            into.seam(f"{read.skipped} lines are no longer kept", missing=read.skipped)
        own = [item for item in read.items if isinstance(item, Break) or self.branch.owns(item)]
        for breaks, items in groupby(own, key=lambda item: isinstance(item, Break)):
            self._put(into, [*items], breaks=breaks)
        return len(own) + bool(read.skipped)

    def has_error(self) -> bool:
        """Whether a line tells of an error."""
        return any(self.ring.level(number) is Level.ERROR for number in self.ring.graver(Level.ERROR))

    def _put(self, into: LogPane | LogRing, items: list[Item], *, breaks: bool) -> None:
        if breaks:
            for item in items:
                if isinstance(item, Break):
                    into.seam(item.text, at=item.at, missing=item.missing or 0)
            return
        into.extend([_entry(item) for item in items if isinstance(item, LogLine)])


def _entry(line: LogLine) -> LogEntry:
    source = f"try {line.attempt}" if line.attempt else ""
    return LogEntry(line.text, line.at, source, line.stage)
