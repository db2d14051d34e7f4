"""What a case of the table says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

BELOW = "below the application"
"""The `code` of what the HTTP server refuses itself, before there is a request that could get a problem."""


@dataclass(frozen=True)
class Case:
    """A request and the problem it ends in: status, code, and words that its sentence holds."""

    name: str
    request: bytes
    status: int
    code: str
    words: str
    leave: bool = False


def group(name: str, cases: Iterable[tuple[str, bytes, int, str, str]]) -> tuple[Case, ...]:
    """Cases of one kind."""
    return tuple(Case(f"{name}: {case}", sent, status, code, words) for case, sent, status, code, words in cases)


def parameters(cases: Iterable[Case]) -> list[object]:
    """Cases for pytest, under their names."""
    found = list(cases)
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "two cases have one name"
    return [pytest.param(case, id=case.name) for case in found]
