"""How much the store keeps, and how it forgets."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

_Value = TypeVar("_Value")
_SLACK = 20
"""When a bound is passed, one part in so many more is given up, so that it is not passed again at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that is kept of each kind."""

    builds: int = 20_000
    jobs: int = 20_000
    agents: int = 5_000
    pools: int = 1_000
    decisions: int = 3_600
    details: int = 100
    history_seconds: int = 3_600
    log_lines: int = 100_000
    log_lines_in_all: int = 300_000
    log_characters: int = 64_000_000
    log_streams: int = 200


def excess(count: int, most: int) -> int:
    """How many to give up, so that the bound is not passed again at once."""
    return count - most + most // _SLACK


def remember(kept: OrderedDict[str, _Value], key: str, value: _Value, most: int) -> None:
    """Keep a value as the newest of at most so many."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
