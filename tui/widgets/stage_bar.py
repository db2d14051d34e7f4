"""The stages of one build in one line: sign, name and time of each, as far as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.strip import Strip

from tui.format import Tone, duration, mark
from tui.safe_text import plain
from tui.widgets.line_view import LineView


@dataclass(frozen=True)
class StageMark:
    """One stage as it is shown: its name, the API's word for its state, and seconds so far (None: not begun)."""

    name: str
    state: str
    seconds: float | None = None


def stage_pieces(stages: Sequence[StageMark], width: int, *, utf8: bool = True) -> list[tuple[str, Tone]]:
    """The stages as (text, tone) pieces for `width` cells.

    With room: sign, name and time; with less: sign and name; with little: signs, and the word of the stage that runs
    or failed, so that it is told without colours and without knowing the signs.
    """
    for texts in (_full, _named):
        pieces = [(texts(stage, utf8=utf8), mark(stage.state, "part").tone) for stage in stages]
        if sum(len(text) + 2 for text, _ in pieces) - 2 <= width:
            return [piece for text, tone in pieces for piece in ((text, tone), ("  ", "plain"))][:-1]
    signs = [(mark(stage.state, "part").sign(utf8=utf8), mark(stage.state, "part").tone) for stage in stages]
    told = next((stage for stage in stages if mark(stage.state, "part").tone in {"bad", "active", "warning"}), None)
    if told is not None:
        one = mark(told.state, "part")
        signs.append((f" {plain(told.name)} {one.word}", one.tone))
    return signs


def _full(stage: StageMark, *, utf8: bool) -> str:
    return _named(stage, utf8=utf8) + ("" if stage.seconds is None else f" {duration(stage.seconds)}")


def _named(stage: StageMark, *, utf8: bool) -> str:
    one = mark(stage.state, "part")
    word = f" {one.word.lower()}" if one.tone in {"bad", "warning"} else ""
    return f"{one.sign(utf8=utf8)} {plain(stage.name)}{word}"


class StageBar(LineView):
    """One line of stages."""

    DEFAULT_CSS = "StageBar { height: 1; }"

    def __init__(self, *, utf8: bool = True, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.utf8 = utf8
        self._stages: tuple[StageMark, ...] = ()

    def show(self, stages: Sequence[StageMark]) -> None:
        """Show these stages."""
        if tuple(stages) != self._stages:
            self._stages = tuple(stages)
            self.soon()

    def render_line(self, y: int) -> Strip:
        """The line."""
        width = self.size.width
        return self.runs_strip(stage_pieces(self._stages, width, utf8=self.utf8) if y == 0 else [], width)
