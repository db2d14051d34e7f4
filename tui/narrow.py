"""Partial repaints that write only what changed: over a slow link every byte counts.

Textual 8.2 cuts a line that is partly drawn anew at the right only, and writes all that stands left of the change: an
age at the end of a row costs the whole row. Here it is cut at both sides.
"""

from __future__ import annotations

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, Compositor  # it has no public name


class NarrowUpdate(ChopsUpdate):
    """Spans of lines, cut at both ends."""

    def render_segments(self, console: Console) -> str:
        """What a terminal is sent."""
        drawn: list[str] = []
        last = self.spans[-1][0]
        for y, left, right in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                begin, stop = max(x, left), min(end, right)
                if strip is None or begin >= stop:
                    continue
                drawn.append(str(Control.move_to(begin, y).segment.text))
                drawn.append(strip.crop(begin - x, stop - x).render(console))
            if y != last:
                drawn.append("\n")
        return "".join(drawn)


class NarrowCompositor(Compositor):
    """Textual's compositor, whose partial updates are narrow."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """What has to be drawn anew; None where nothing has."""
        update = super().render_partial_update()
        return None if update is None else NarrowUpdate(update.chops, update.spans, update.chop_ends)
