"""What people and programs see: tables without frames, words with a glyph, JSON; never a control code of others."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from buildyard.cli.paging import paged_terminal
from buildyard.errors import InvalidSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
# Control codes, and marks that make text run backwards: both can make a screen lie.
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNSAFE_BUT_ESCAPE = re.compile("[\x00-\x08\x0a-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WIDE = 1000
_KIB = 1024

_GLYPHS = {
    "received": (".", "blue"),
    "queued": (".", "blue"),
    "pending": (".", "blue"),
    "waiting": (".", "blue"),
    "running": (">", "cyan"),
    "busy": (">", "cyan"),
    "cancelling": ("-", "yellow"),
    "draining": ("-", "yellow"),
    "cancelled": ("-", "yellow"),
    "skipped": ("-", "dim"),
    "left": ("-", "dim"),
    "idle": (".", "green"),
    "succeeded": ("v", "green"),
    "passed": ("v", "green"),
    "ok": ("v", "green"),
    "warning": ("!", "yellow"),
    "failed": ("x", "red"),
    "timedout": ("x", "red"),
    "rejected": ("x", "red"),
    "lost": ("x", "red"),
}


def printable(text: str) -> str:
    """Text of others without what could steer a terminal; line breaks become spaces."""
    return _UNSAFE.sub(lambda found: " " if found[0] in "\r\n" else "", text)


def log_line(text: str, *, colours: bool) -> str:
    """A line of a log: its colours stay only where they are wanted, nothing else that steers a terminal does."""
    if not colours:
        return _UNSAFE.sub("", _SGR.sub("", text))
    kept = _UNSAFE_BUT_ESCAPE.sub("", text)
    parts = _SGR.split(kept)
    marks = _SGR.findall(kept)
    plain = [part.replace("\x1b", "") for part in parts]
    end = "\x1b[0m" if marks else ""
    return plain[0] + "".join(mark + part for mark, part in zip(marks, plain[1:], strict=True)) + end


def duration(seconds: float | None) -> str:
    """Seconds for people: 4.2 -> `4.2s`, 75 -> `1m15s`, 7300 -> `2h01m`."""
    if seconds is None:
        return ""
    if seconds < 9.95:  # noqa: PLR2004 - from here on tenths tell nothing
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}s"
    hours, minutes_rest = divmod(minutes, 60)
    return f"{hours}h{minutes_rest:02}m" if hours else f"{minutes}m{rest:02}s"


def size(count: int) -> str:
    """Bytes for people: 512 -> `512 B`, 2048 -> `2.0 KiB`."""
    if count < _KIB:
        return f"{count} B"
    mebibytes = count / _KIB**2
    if mebibytes < 1:
        return f"{count / _KIB:.1f} KiB"
    return f"{mebibytes:.1f} MiB" if mebibytes < _KIB else f"{mebibytes / _KIB:.1f} GiB"


def clock_time(moment: datetime | None) -> str:
    """A moment in the reader's own time zone, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""


def column_names(text: str | None) -> tuple[str, ...] | None:
    """The columns that `--columns id,status` asks for, as headings have them."""
    return None if text is None else tuple(name.strip().upper() for name in text.split(","))


class Output:
    """Standard output and standard error of one verb; `columns` are those that a listing shows, None for all."""

    def __init__(self, *, swapped: bool = False, columns: tuple[str, ...] | None = None) -> None:
        self._swapped = swapped
        self._columns = columns

    def aside(self) -> Output:
        """The same with results on standard error, for when standard output carries something else."""
        return Output(swapped=True)

    @cached_property
    def out(self) -> Console:
        """Standard output; wide when nobody's terminal bounds it, so that pipes lose no column."""
        return _console(stderr=self._swapped)

    @cached_property
    def err(self) -> Console:
        """Standard error, for progress and remarks."""
        return _console(stderr=True)

    @property
    def colours(self) -> bool:
        """Whether standard output shows colours: a terminal, and NO_COLOR not set."""
        return self.out.is_terminal and not self.out.no_color

    def json(self, value: Any) -> None:
        """A value for programs."""
        print(json.dumps(value, indent=2, ensure_ascii=False))

    def line(self, text: str = "") -> None:
        """A line for people."""
        self.out.print(printable(text), soft_wrap=True)

    def remark(self, text: str) -> None:
        """A line beside the result, on standard error."""
        self.err.print(printable(text), soft_wrap=True)

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str | Text]],
        *,
        spare: Sequence[str] = (),
        headings_shown: bool = True,
    ) -> None:
        """Rows below headings; a heading that ends in `#` is aligned to the right, the last column may wrap.

        On a terminal that is too narrow, the columns `spare` go one after another. A choice of columns wins.

        Raises:
            InvalidSettings: a column was asked for that there is not.
        """
        from rich.text import Text

        if self._columns is not None and headings_shown:
            places = chosen_places(headings, self._columns)
            headings, spare = [headings[place] for place in places], ()
            rows = [[row[place] for place in places] for row in rows]
        cells = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
        widths = [
            max(len(name), *(_width(row[place]) for row in cells)) if cells else len(name)
            for place, name in enumerate(headings)
        ]
        kept = fitting(dict(zip(headings, widths, strict=True)), spare, self.out.width)
        table = _grid(kept, headings_shown=headings_shown)
        for row in cells:
            table.add_row(*(cell for name, cell in zip(headings, row, strict=True) if name in kept))
        if self.out.is_terminal:
            self.out.print(table)
            return
        with self.out.capture() as captured:
            self.out.print(table)
        for line in captured.get().splitlines():
            self.line(line.rstrip())


def chosen_places(headings: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where the chosen columns stand among the headings.

    Raises:
        InvalidSettings: there is no such column.
    """
    known = [heading.removesuffix("#") for heading in headings]
    for name in columns:
        if name not in known:
            raise InvalidSettings(f"There is no column {name!r}.", remedy=f"There are: {', '.join(known)}.")
    return [known.index(name) for name in columns]


def fitting(widths: Mapping[str, int], spare: Sequence[str], width: int) -> list[str]:
    """The columns to show on so many cells, given the width of each: without as many of `spare` as need be."""
    kept = list(widths)
    for name in spare:
        bounded = [widths[column] for column in kept[:-1]] + [min(widths[kept[-1]], _LAST_WIDTH)]
        if sum(bounded) + _GAP * (len(kept) - 1) <= width:
            break
        kept.remove(name)
    return kept


def _width(cell: Text) -> int:
    return max((len(line) for line in cell.plain.split("\n")), default=0)


def _grid(headings: Sequence[str], *, headings_shown: bool) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", show_header=headings_shown)
    for place, heading in enumerate(headings):
        last = place == len(headings) - 1
        table.add_column(
            heading.removesuffix("#"),
            justify="right" if heading.endswith("#") else "left",
            no_wrap=not last,
            overflow="fold" if last else "ellipsis",
            min_width=_ID_WIDTH if heading == "ID" else None,
        )
    return table


_GAP = 2
_LAST_WIDTH = 24
_ID_WIDTH = 36


def word(state: str) -> Text:
    """A state as glyph and word, coloured where colours are: `v Succeeded`."""
    from rich.text import Text

    glyph, style = _GLYPHS.get(state.lower().replace("_", ""), (" ", ""))
    return Text(f"{glyph} {printable(state)}", style=style)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    class PipeConsole(Console):
        """A console that leaves the answer to a closed pipe to the verb's end."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    paged = None if stderr else paged_terminal()
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else paged or _WIDE
    terminal = True if paged else None
    return PipeConsole(stderr=stderr, markup=False, highlight=False, emoji=False, width=width, force_terminal=terminal)
