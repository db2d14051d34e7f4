"""SGR, the one control sequence that survives: parameters -> how text looks from there on. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple


class Style(NamedTuple):
    """How a run looks. Colours: "" for the default, `red`, `bright_red`, `color(123)` or `#rrggbb`, as rich reads."""

    fg: str = ""
    bg: str = ""
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False


PLAIN = Style()


_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ON: dict[int, dict[str, Any]] = {
    1: {"bold": True},
    2: {"dim": True},
    3: {"italic": True},
    4: {"underline": True},
    7: {"reverse": True},
    9: {"strike": True},
    21: {"underline": True},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": False},
    27: {"reverse": False},
    29: {"strike": False},
}
"""Blinking and concealed text stay as they are: the one disturbs, the other hides."""
_COLOURS = {
    **{base + number: (side, name) for base, side in ((30, "fg"), (40, "bg")) for number, name in enumerate(_NAMES)},
    **{
        base + number: (side, f"bright_{name}")
        for base, side in ((90, "fg"), (100, "bg"))
        for number, name in enumerate(_NAMES)
    },
    39: ("fg", ""),
    49: ("bg", ""),
}
_EXTENDED = {38: "fg", 48: "bg"}
_BYTE = 256
_INDEXED, _DIRECT = 5, 2


@lru_cache(maxsize=1024)
def restyled(style: Style, params: str) -> Style:
    """The style after an SGR sequence with these parameters; what is unknown in them changes nothing."""
    codes = iter(params.split(";"))
    for code in codes:
        if ":" in code:
            style = _with_subparameters(style, code)
            continue
        number = int(code or "0")
        if number == 0:
            style = PLAIN
        elif number in _ON:
            style = style._replace(**_ON[number])
        elif number in _COLOURS:
            side, name = _COLOURS[number]
            style = _coloured(style, side, name)
        elif number in _EXTENDED:
            kind = _number(next(codes, "-1"))
            wanted = {_INDEXED: 1, _DIRECT: 3}.get(kind, 0)
            name = _extended(kind, [_number(next(codes, "-1")) for _ in range(wanted)])
            style = _coloured(style, _EXTENDED[number], name) if name else style
    return style


def _with_subparameters(style: Style, code: str) -> Style:
    """`38:5:n`, `38:2:r:g:b`, `38:2:space:r:g:b`, and `4:n` for kinds of underline."""
    first, *rest = (_number(part) for part in code.split(":"))
    if first == 4:  # noqa: PLR2004 - SGR 4 underlines
        return style._replace(underline=rest[0] != 0)
    if first not in _EXTENDED or not rest:
        return style
    wanted = {_INDEXED: 1, _DIRECT: 3}.get(rest[0], 0)
    name = _extended(rest[0], rest[1:][-wanted:]) if len(rest) > wanted > 0 else ""
    return _coloured(style, _EXTENDED[first], name) if name else style


def _extended(kind: int, values: list[int]) -> str:
    """A colour of the 256 or of all; "" when it is none."""
    if not values or not all(0 <= value < _BYTE for value in values):
        return ""
    if kind == _INDEXED:
        return f"color({values[0]})"
    return "#{:02x}{:02x}{:02x}".format(*values)


def _coloured(style: Style, side: str, name: str) -> Style:
    return style._replace(fg=name) if side == "fg" else style._replace(bg=name)


def _number(text: str) -> int:
    """A parameter as a number; an empty one is 0, as terminals have it."""
    return int(text) if text else 0
