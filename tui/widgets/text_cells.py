"""Text measured in terminal cells: cut to a width, padded, wrapped. Wide letters take two cells, marks none."""

from __future__ import annotations

from itertools import pairwise

from rich.cells import cell_len, chop_cells, set_cell_size

ELLIPSIS = "…"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Exactly `width` cells: padded with spaces, or cut with an ellipsis. The text must be safe to draw."""
    if width <= 0:
        return ""
    cells = len(text) if text.isascii() else cell_len(text)
    if cells > width:
        return cut(text, width - 1) + ELLIPSIS if width > 1 else ELLIPSIS
    space = " " * (width - cells)
    return space + text if right else text + space


def cut(text: str, width: int) -> str:
    """Exactly `width` cells of a text that has more; half a wide letter becomes a space."""
    return text[:width] if text.isascii() else set_cell_size(text, width)


def wrap_points(text: str, width: int) -> list[int]:
    """Where rows of at most `width` cells begin, in characters, and the end: n rows give n + 1 numbers.

    Rows break between any two letters, as terminals do. A letter wider than the row stands alone.
    """
    if text.isascii():
        return [*range(0, len(text), width), len(text)] if text else [0, 0]
    points = [0]
    for row in chop_cells(text, max(2, width)):
        points.append(points[-1] + len(row))
    return points


def wrapped(text: str, width: int) -> list[str]:
    """Text that is safe to draw as rows of at most `width` cells, broken between words where words are short enough."""
    rows, row = [], ""
    for word in text.split(" "):
        joined = f"{row} {word}" if row else word
        if cell_len(joined) <= width:
            row = joined
            continue
        if row:
            rows.append(row)
        points = wrap_points(word, width)
        pieces = [word[start:end] for start, end in pairwise(points)]
        rows += pieces[:-1]
        row = pieces[-1]
    return [*rows, row]
