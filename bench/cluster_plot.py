"""The picture of `bench cluster`: how many bursts were answered within which time, and Jobs as they came; pure."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cluster_bursts import Burst
from bench.cluster_crowd import Crowd
from bench.figures import percentile

_WIDTH, _PANEL, _LEFT, _GAP, _TOP = 860, 150, 60, 56, 40
_COLOURS = (("#0b6e99", ""), ("#d9730d", ' stroke-dasharray="6 3"'))
_POINTS = 200


def svg(bursts: Sequence[Burst], crowd: Crowd) -> str:
    """Two panels, readable without colours."""
    first = sorted(burst.created[0] - burst.sent for burst in bursts)
    last = sorted(burst.created[-1] - burst.sent for burst in bursts)
    came = [at - crowd.submitted for at in crowd.created]
    height = _TOP + 2 * (_PANEL + _GAP) + 10
    title = f"{len(bursts)} bursts, and {len(came)} workers at once"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"',
            f'aria-label="{title}" font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            *_panel(
                "share of bursts whose first (line) and last (dashes) Job was asked for within so many seconds",
                [_curve(first), _curve(last)],
                f"{percentile(last, 1.0):.2f} s",
                "100 %",
                _TOP,
            ),
            *_panel(
                "Jobs created for jobs that wait, from the first look on",
                [_curve(came)],
                f"{came[-1]:.0f} s",
                f"{len(came)}",
                _TOP + _PANEL + _GAP,
            ),
            "</svg>",
            "",
        ]
    )


def _curve(ordered: Sequence[float]) -> list[tuple[float, float]]:
    """(value, share of the values up to it), thinned out."""
    return [(percentile(ordered, place / _POINTS), place / _POINTS) for place in range(_POINTS + 1)]


def _panel(
    title: str, curves: Sequence[Sequence[tuple[float, float]]], right: str, highest: str, top: int
) -> list[str]:
    columns, bottom = _WIDTH - _LEFT - 20, top + _PANEL
    most = max(value for curve in curves for value, _ in curve) or 1.0
    parts = [
        f'<text x="{_LEFT}" y="{top - 8}" fill="#444">{title}</text>',
        f'<line x1="{_LEFT}" y1="{bottom}" x2="{_LEFT + columns}" y2="{bottom}" stroke="#999"/>',
        f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{highest}</text>',
        f'<text x="{_LEFT}" y="{bottom + 15}">0</text>',
        f'<text x="{_LEFT + columns}" y="{bottom + 15}" text-anchor="end">{right}</text>',
    ]
    for curve, (colour, dashes) in zip(curves, _COLOURS, strict=False):
        points = " ".join(
            f"{_LEFT + value / most * columns:.1f},{bottom - share * _PANEL:.1f}" for value, share in curve
        )
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5"{dashes} points="{points}"/>')
    return parts
