"""What a screen has to take out: of a log its lines, else the thing under the cursor as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.copying import as_json
from tui.exporting import Exported
from tui.widgets.log_pane import LogPane

if TYPE_CHECKING:
    from tui.screens.base import FarmScreen


def exported_of(screen: FarmScreen) -> Exported | None:
    """What the focused panel has; None where there is nothing."""
    panel = screen.panel
    if panel is not None and isinstance(panel.content, LogPane):
        shown, whole = "\n".join(panel.content.lines()), "\n".join(panel.content.all_lines())
        return Exported(panel.title, ".log", shown, whole) if whole else None
    ref = screen.cursor_ref()
    text = as_json(screen.store, ref) if ref is not None else ""
    return Exported(f"{ref.kind}-{ref.id}", ".json", text, text) if ref is not None and text else None
