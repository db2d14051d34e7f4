"""Sizes in bytes: `1.5 GiB` (powers of 1024) and `1.5 GB` (powers of 1000)."""

import re
from decimal import Decimal

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgtpe", start=1):
    _UNITS[f"{_letter}b"] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def parse_size(text):
    """The number of bytes that a text means; ValueError when it means none."""
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found.group(2).lower()) if found else None
    if unit is None:
        raise ValueError(f"{text!r} is no size: write a number and a unit, such as 10 MB or 1.5 GiB")
    return int(Decimal(found.group(1)) * unit)


def format_size(count):
    """Bytes in the largest unit that keeps the number at 1 or above, with one decimal at most."""
    if count < 0:
        raise ValueError("a size is not negative")
    for power, letter in reversed(list(enumerate("KMGTPE", start=1))):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f}".removesuffix(".0") + f" {letter}iB"
    return f"{count} B"
