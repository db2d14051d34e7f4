"""The dashboard's themes. Meaning is never in the colour alone: every state has a sign and a word as well."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

from buildyard.errors import InvalidSettings

_BLUE, _ORANGE, _SKY, _YELLOW, _PURPLE = "#0072b2", "#d55e00", "#56b4e9", "#e69f00", "#cc79a7"
"""Of the palette of Okabe and Ito, told apart with every common colour blindness; no red beside green."""

THEMES: Mapping[str, Theme] = {
    theme.name: theme
    for theme in (
        Theme(
            "dark",
            primary="#3b82c4",
            secondary="#a58ad6",
            success="#5fb36b",
            warning="#e0a93b",
            error="#e4606a",
            foreground="#d8dee4",
            background="#10151a",
            surface="#10151a",
            panel="#1f2932",
            dark=True,
        ),
        Theme(
            "light",
            primary="#1a66a8",
            secondary="#6b48a8",
            success="#227a34",
            warning="#8a5a00",
            error="#b3202c",
            foreground="#15191d",
            background="#ffffff",
            surface="#ffffff",
            panel="#dfe5ea",
            dark=False,
        ),
        Theme(
            "high-contrast",
            primary="#00a2ff",
            secondary="#ff9bff",
            success="#00ff66",
            warning="#ffff00",
            error="#ff5c5c",
            foreground="#ffffff",
            background="#000000",
            surface="#000000",
            panel="#303030",
            dark=True,
        ),
        Theme(
            "colour-blind",
            primary=_SKY,
            secondary=_PURPLE,
            success=_BLUE,
            warning=_YELLOW,
            error=_ORANGE,
            foreground="#e6e6e6",
            background="#101418",
            surface="#101418",
            panel="#222b33",
            dark=True,
        ),
    )
}
DEFAULT = "dark"


def theme_name(wanted: str) -> str:
    """A theme by its name. Raises InvalidSettings for one that does not exist."""
    if wanted not in THEMES:
        raise InvalidSettings(
            f"There is no theme {wanted[:40]!r}.",
            remedy=f"Themes are {', '.join(THEMES)}; NO_COLOR=1 takes colours away.",
        )
    return wanted
