"""Draws the panels read from standard input, as JSON, into an SVG file; runs in the others' environment."""

from __future__ import annotations

import json
import sys

import matplotlib as mpl  # type: ignore[import-not-found]

mpl.use("svg")
from matplotlib import pyplot as plt

_OURS, _REFERENCE, _OTHER = "#1f6feb", "#9aa4af", "#e3a008"


def main(target: str) -> None:
    """One panel below the other, a bar for each with a line from its lowest to its highest run."""
    panels = json.load(sys.stdin)
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 8})
    bars = [len(panel) for panel in panels.values()]
    figure, axes = plt.subplots(len(panels), 1, figsize=(8, 0.24 * sum(bars) + 0.7 * len(panels)), height_ratios=bars)
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        names = [bar["name"] for bar in panel]
        values = [bar["value"] for bar in panel]
        spread = [[bar["value"] - bar["low"] for bar in panel], [bar["high"] - bar["value"] for bar in panel]]
        axis.barh(names, values, xerr=spread, color=[_color(name) for name in names], ecolor="#444c56", height=0.7)
        axis.invert_yaxis()
        axis.set_title(title, loc="left", fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
        for place, value in enumerate(values):
            axis.annotate(f" {value:,.3g}" if value < 100 else f" {value:,.0f}", (0, place), va="center", fontsize=7)
    figure.tight_layout()
    figure.savefig(target, metadata={"Date": None})


def _color(name: str) -> str:
    if name.startswith("Buildyard"):
        return _OURS
    return _REFERENCE if name.startswith("aio-pika") else _OTHER


if __name__ == "__main__":
    main(sys.argv[1])
