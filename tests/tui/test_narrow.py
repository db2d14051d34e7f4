"""Partial repaints write exactly the cells that are to be drawn anew."""

from __future__ import annotations

import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tests.tui.app.farms import dashboard, ready
from tui.narrow import NarrowCompositor, NarrowUpdate

WIDTH, HEIGHT = 12, 3
_PIECE = re.compile(r"\x1b\[(?:(\d+);(\d+)H|[\d;]*m)|(.)", re.DOTALL)
_LINES = st.lists(st.text(alphabet="abcdef", min_size=WIDTH, max_size=WIDTH), min_size=HEIGHT, max_size=HEIGHT)
_SPANS = st.sets(st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1), st.integers(1, WIDTH)), min_size=1)


def strips(text: str, cut: int) -> dict[int, Strip | None]:
    """A line in two strips of segments of two cells."""
    found: dict[int, Strip | None] = {}
    for begin, part in ((0, text[:cut]), (cut, text[cut:])):
        found[begin] = Strip([Segment(part[at : at + 2], Style(bold=at % 4 == 0)) for at in range(0, len(part), 2)])
    return found


def drawn(written: str) -> dict[tuple[int, int], str]:
    """(line, column) -> letter, as a terminal takes it in."""
    cells: dict[tuple[int, int], str] = {}
    x = y = 0
    for piece in _PIECE.finditer(written):
        line, column, letter = piece.groups()
        if line is not None:
            y, x = int(line) - 1, int(column) - 1
        elif letter == "\n":
            y, x = y + 1, 0
        elif letter is not None:
            cells[y, x] = letter
            x += 1
    return cells


@given(_LINES, st.integers(1, WIDTH - 1), _SPANS)
def test_the_cells_of_the_spans_are_written_and_no_others(
    lines: list[str], cut: int, spans: set[tuple[int, int, int]]
) -> None:
    wanted = sorted((y, x, min(WIDTH, x + width)) for y, x, width in spans)
    update = NarrowUpdate([strips(line, cut) for line in lines], wanted, [[cut, WIDTH]] * HEIGHT)
    console = Console(file=io.StringIO(), color_system="truecolor", force_terminal=True)
    assert drawn(update.render_segments(console)) == {
        (y, x): lines[y][x] for y, begin, end in wanted for x in range(begin, end)
    }


async def test_screens_of_the_dashboard_are_drawn_so() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        app = await ready(pilot)
        screen = app.screen
        assert isinstance(screen._compositor, NarrowCompositor)
        screen.refresh()
        await pilot.pause()
        screen._compositor._dirty_regions.add(screen.region.shrink((1, 1, 1, 1)))
        update = screen._compositor.render_partial_update()
        assert isinstance(update, NarrowUpdate)
        assert update.render_segments(app.console)
