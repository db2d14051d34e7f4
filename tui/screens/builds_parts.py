"""The stage tree and the log pane bound to it: one build's, on whichever screen shows them."""

from __future__ import annotations

from datetime import datetime

from tui.format import mark
from tui.screens.builds_log import StageLog
from tui.screens.builds_tree import Branch, Branches, branch_to_open, columns, tree_of
from tui.state import Store
from tui.widgets.log_pane import LogPane
from tui.widgets.log_ring import LogRing
from tui.widgets.virtual_table import VirtualTable


class StageParts:
    """A tree and a log; the log shows what belongs to the tree's line under the cursor.

    Opened at a build that went wrong, the tree's cursor is on the stage that did, and the log's on its first error,
    as soon as that line has come; from then on, and once the reader has moved, both stay where they are.
    """

    def __init__(self, *, utf8: bool) -> None:
        self.build_id = ""
        self._branches = Branches()
        self.tree: VirtualTable[Branch] = VirtualTable(
            self._branches, columns(utf8=utf8), empty="No build is chosen.", id="tree"
        )
        self.log = LogPane(id="log")
        self._store: Store | None = None
        self._log: StageLog | None = None
        self._chosen = False
        """Whether the reader chose a line of the tree."""
        self._left_at: str | None = None
        """Where this put the tree's cursor: elsewhere means that the reader moved it."""
        self._seeks_error = False

    def show(self, build_id: str) -> bool:
        """Show another build; False where it is shown already."""
        if build_id == self.build_id:
            return False
        self.build_id = build_id
        self.begin_anew()
        return True

    def begin_anew(self) -> None:
        """Forget what was read: another build, or another store."""
        self._log, self._chosen, self._left_at, self._seeks_error = None, False, None, True
        self.log.show(LogRing())

    # ---------------------------------------------------------------- the tree

    def update_tree(self, store: Store, now: datetime) -> None:
        """Bring the tree up to date; with another store everything begins anew."""
        if store is not self._store:
            self._store = store
            self.begin_anew()
        branches = tree_of(store, self.build_id, now)
        self._chosen = self._chosen or self._left_at not in {None, self.tree.cursor}
        if self._branches.take(branches):
            self.tree.reload()
        else:
            self.tree.changed(self._branches.keys())
        if not self._chosen:
            self.tree.go_to(branch_to_open(branches))
        self._left_at = self.tree.cursor

    @property
    def branch(self) -> Branch | None:
        """The tree's line under the cursor."""
        return self._branches.get(self.tree.cursor)

    # ---------------------------------------------------------------- the log

    def update_log(self, store: Store) -> None:
        """Feed the log what came since, or show that of another branch."""
        branch = self.branch
        if branch is None:
            return
        if self._log is None or (self._log.branch.stage, self._log.branch.attempt) != (branch.stage, branch.attempt):
            self._log = StageLog(self.build_id, branch)
            self._log.feed(store)
            self.log.empty = self._nothing(store, branch)
            self.log.show(self._log.ring)
            self._seeks_error = True
        else:
            self._log.feed(store, self.log)
            self.log.empty = self._nothing(store, branch)
        if self._seeks_error and self._went_wrong(store) and self._log.has_error():
            self._seeks_error = False
            self._to_first_error()

    def _went_wrong(self, store: Store) -> bool:
        build = store.builds.get(self.build_id)
        branch = self.branch
        return any(
            mark(state, "part").tone == "bad"
            for state in (build.status if build else "", branch.state if branch else "")
        )

    def stay(self) -> None:
        """The reader moved in the log: it does not jump any more."""
        self._seeks_error = False

    def _to_first_error(self) -> None:
        self.log.reader.catch_up()
        self.log.action_scroll_home()
        self.log.reader.cursor = None  # else the search begins behind the first line
        self.log.action_next_error()

    def _nothing(self, store: Store, branch: Branch) -> str:
        build = store.builds.get(self.build_id)
        where = f" in {branch.label}" if branch.stage else ""
        if build is not None and not build.started_at and not build.ended:
            return "It has not begun: there is no log yet."
        if build is not None and build.ended:
            return f"No lines{where} were kept, or they are not read yet."
        return f"No lines{where} yet."
