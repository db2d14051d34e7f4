"""A pool's counts and decisions over time, as a chart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tui import format as shown
from tui.state import Store
from tui.state.history import Point
from tui.state.rows import DecisionRow
from tui.widgets.chart_cells import Chart, Mark, Panel, Sample

SPANS = (300, 900, 1_800, 3_600)
"""Seconds that a chart may show; the least that holds all that is known."""
STANDS_SECONDS = 15
"""For so long a count of the scaler stands where only the producer was heard since."""
_NOTED = {"bad", "warning"}


def pool_chart(
    store: Store, pool: str, now: datetime, panels: tuple[Panel, ...], chosen: int | None = None, *, utf8: bool = True
) -> Chart:
    """Depth, unacknowledged, workers and workers wanted, with a mark for each decision that acts or that is in need.

    Args:
        store: what is known.
        pool: whose chart.
        now: the right end.
        panels: for samples of (ready, unacked, workers, wanted).
        chosen: the decision under the cursor, which is marked too.
        utf8: whether marks may be more than ASCII.
    """
    end = now.timestamp()
    points = store.history(pool).since(int(end) - SPANS[-1])
    first = points[0].second if points else int(end)
    span = next((one for one in SPANS if end - first <= one), SPANS[-1])
    decisions = [row for row in store.decisions.values() if row.pool == pool and row.at.timestamp() >= end - span]
    decided = {int(row.at.timestamp()) for row in decisions}
    samples = [_sample(point) for point in _carried(points, decided)]
    marks = list(_marks(decisions, utf8=utf8))
    row = store.decisions.get(chosen) if chosen is not None else None
    if row is not None and row.pool == pool:
        marks.append(Mark(row.at.timestamp(), "▲" if utf8 else "^", "strong"))
    return Chart(end - span, end, panels, samples, marks, every=2)


def _sample(point: Point) -> Sample:
    values = (point.ready, point.unacked, point.workers, point.wanted)
    only_producer = values[1:] == (None, None, None) and point.ready is not None
    return Sample(point.second, values[:1] if only_producer else values)


@dataclass
class _Last:
    """What the scaler said last."""

    second: int
    unacked: int | None
    workers: int | None
    wanted: int | None


def _carried(points: Iterable[Point], decided: set[int]) -> Iterator[Point]:
    """In seconds without a decision the scaler's counts stand on for a while: nobody asked, so they are not unknown."""
    last: _Last | None = None
    for point in points:
        if point.second in decided or (point.unacked, point.workers) != (None, None):
            last = _Last(point.second, point.unacked, point.workers, point.wanted)
            yield point
        elif last is not None and point.second - last.second <= STANDS_SECONDS:
            yield replace(point, unacked=last.unacked, workers=last.workers, wanted=last.wanted)
        else:
            yield point


def _marks(decisions: Iterable[DecisionRow], *, utf8: bool) -> Iterator[Mark]:
    before = ""
    for row in decisions:
        one = shown.mark(row.code, "decision")
        if row.acts or (one.tone in _NOTED and row.code != before):
            yield Mark(row.at.timestamp(), one.sign(utf8=utf8), "bad" if row.failures else one.tone)
        before = row.code
