"""Terminals that show no colours, or nothing but ASCII: what is drawn is put into what they can show.

Nothing is lost by it: a state has a word beside its sign and its colour, and the cursor's row has a `>` before it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_LIT = 0.12
"""So much brighter or darker than the screen, on a scale to 1, a background stands out: as reversed letters."""

_TWINS = str.maketrans(
    {
        "…": "~", "·": "-", "─": "-", "━": "-", "│": "|", "┃": "|", "‖": "|", "→": ">", "←": "<",
        "✓": "v", "✗": "x", "▸": ">", "◂": "<", "▾": "v", "▼": "v", "▲": "^", "△": "^", "‼": "!", "╌": "-",
        "┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+", "┼": "+",
        "▁": "_", "▂": "_", "▃": "=", "▄": "=", "▅": "=", "▆": "#", "▇": "#", "█": "#",
        "▉": "#", "▊": "#", "▋": "#", "▌": "|", "▍": "|", "▎": "|", "▏": "|", "▐": "|", "▔": "-",
    }
)  # fmt: skip
_OTHERS = re.compile(r"[^\x00-\x7f]+")


def in_ascii(text: str) -> str:
    """The same in as many cells, of ASCII alone."""
    if text.isascii():
        return text
    return _OTHERS.sub(lambda found: "?" * cell_len(found[0]), text.translate(_TWINS))


class AsciiOnly(LineFilter):
    """Letters that the terminal does not know become others, or `?`."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's shape
        """A line of it."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]


class Uncoloured(LineFilter):
    """No colours at all; what stands out by its background stands out as reversed letters.

    Args:
        ground: the background of the screen.
    """

    def __init__(self, ground: Color) -> None:
        super().__init__()
        self._ground = ground.brightness

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's shape
        """A line of it."""
        return [
            Segment(text, None if style is None else _uncoloured(style, self._ground), control)
            for text, style, control in segments
        ]


@lru_cache(maxsize=1024)
def _uncoloured(style: Style, ground: float) -> Style:
    bright = None if style.bgcolor is None else Color.from_rich_color(style.bgcolor).brightness
    lit = bright is not None and abs(bright - ground) > _LIT
    return Style(
        bold=style.bold,
        dim=style.dim,
        italic=style.italic,
        underline=style.underline,
        strike=style.strike,
        reverse=lit or style.reverse or None,
        meta=style.meta,
    )
