"""What all line widgets share: tones that a theme colours, segments of safe text, and repaints that stay few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from time import monotonic
from typing import ClassVar

from rich.color import Color, ColorParseError
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from tui import safe_text
from tui.widgets.text_cells import fit

TONES = ("plain", "good", "bad", "warning", "active", "waiting", "muted", "strong", "head")
"""Those of `tui.format`, a stressed one, and that of headings."""
_SHORTEST_WAIT = 0.001
"""Seconds; a timer cannot wait for 0."""


class LineView(ScrollView):
    """A widget that draws itself line by line, in tones.

    Tones colour letters only: the background comes from the widget, so that rows can be lit as a whole. Changes are
    drawn at most once in `repaint_seconds`; the first after a quiet time at once. A fault while drawing leaves the
    widget blank and is told by `Broke`; Textual itself would end the app.
    """

    class Broke(Message):
        """Drawing failed."""

        def __init__(self, view: LineView, error: Exception) -> None:
            super().__init__()
            self.view, self.error = view, error

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"ink--{tone}" for tone in TONES}
    DEFAULT_CSS = """
    LineView {
        overflow: hidden hidden;
        scrollbar-size-vertical: 0;
        scrollbar-size-horizontal: 0;
        background: $surface;
        color: $foreground;
        & > .ink--good { color: $text-success; }
        & > .ink--bad { color: $text-error; text-style: bold; }
        & > .ink--warning { color: $text-warning; }
        & > .ink--active { color: $text-primary; }
        & > .ink--waiting { color: $text-secondary; }
        & > .ink--muted { color: $text-muted; }
        & > .ink--strong { text-style: bold; }
        & > .ink--head { color: $text-muted; text-style: bold; }
    }
    """

    repaint_seconds = 0.2
    """The least time between two repaints that the widget itself thinks right."""
    slow_seconds = 0.0
    """The least that the owner asks for (slow link); the greater of the two counts."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._inks: dict[str, Style] = {}
        self._due: Timer | None = None
        self._painted = float("-inf")

    # ---------------------------------------------------------------- tones

    def ink(self, tone: str) -> Style:
        """The letters' style for a tone, without a background."""
        style = self._inks.get(tone)
        if style is None:
            whole = self.get_component_rich_style(f"ink--{tone if tone in TONES else 'plain'}")
            color = None if tone in {"plain", "strong"} else whole.color
            style = Style(color=color, bold=whole.bold or None, reverse=whole.reverse or None)
            self._inks[tone] = style
        return style

    def notify_style_update(self) -> None:
        """Forget colours of the theme that was."""
        self._inks.clear()
        self.drop_drawn()
        super().notify_style_update()

    def drop_drawn(self) -> None:
        """Forget whatever was drawn before; widgets that keep strips say how."""

    def runs_strip(self, runs: Iterable[tuple[str, str]], width: int) -> Strip:
        """A line of (text, tone) pieces, cut or filled to `width` cells; the texts may come from anywhere."""
        segments = [Segment(safe_text.plain(text, limit=1000), self.ink(tone)) for text, tone in runs if text]
        return self.lit(Strip(segments), width)

    def lit(self, strip: Strip, width: int, base: Style | None = None) -> Strip:
        """A strip at exactly `width` cells over the widget's (or another) background."""
        base = self.rich_style if base is None else base
        return strip.apply_style(base).adjust_cell_length(width, base)

    # ---------------------------------------------------------------- repaints

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a region of the widget, blank where they cannot be drawn."""
        try:
            return super().render_lines(crop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest of the screen lives on
            self.post_message(self.Broke(self, error))
            return [Strip.blank(crop.width)] * crop.height

    def refresh_differing(self, before: Sequence[object], after: Sequence[object]) -> None:
        """Draw anew the lines, counted from the widget's top, whose rows differ."""
        for y, (old, new) in enumerate(zip_longest(before, after)):
            if old != new:
                self.refresh(Region(0, y, self.size.width, 1))

    def soon(self) -> None:
        """Have `flush` called: at once after a quiet time, else when the next repaint is due."""
        if self._due is None and self.is_attached:
            pace = max(self.repaint_seconds, self.slow_seconds)
            wait = max(_SHORTEST_WAIT, self._painted + pace - monotonic())
            self._due = self.set_timer(wait, self._flush_now)

    def flush(self) -> None:
        """Draw what has changed."""
        self.refresh()

    def _flush_now(self) -> None:
        self._due = None
        if self.is_attached:
            self._painted = monotonic()
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 - as in `render_lines`
                self.post_message(self.Broke(self, error))


def cell_segments(parts: Iterable[tuple[str, Style]], width: int, *, right: bool = False) -> list[Segment]:
    """Exactly `width` cells of pieces of text from anywhere, the last of which is cut where they are too long."""
    safe = [(safe_text.plain(text), style) for text, style in parts]
    if len(safe) == 1:
        return [Segment(fit(safe[0][0], width, right=right), safe[0][1])]
    whole = fit("".join(text for text, _ in safe), width, right=right)
    lead = len(whole) - len(whole.lstrip(" ")) if right else 0
    segments, at = [Segment(whole[:lead])] if lead else [], lead
    for text, style in safe:
        piece = whole[at : at + len(text)]
        at += len(piece)
        if piece:
            segments.append(Segment(piece, style))
    return [*segments, Segment(whole[at:])] if at < len(whole) else segments


@lru_cache(maxsize=2048)
def log_style(style: safe_text.Style) -> Style:
    """A style that a log line asked for."""
    return Style(
        color=_color(style.fg),
        bgcolor=_color(style.bg),
        bold=style.bold or None,
        dim=style.dim or None,
        italic=style.italic or None,
        underline=style.underline or None,
        reverse=style.reverse or None,
        strike=style.strike or None,
    )


def _color(name: str) -> Color | None:
    try:
        return Color.parse(name) if name else None
    except ColorParseError:
        return None
