"""Row results as a table: which columns there are, and what stands in them; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_COLUMNS = 2000
"""Results with more different keys than this are given as one column of JSON."""


def flat(result: Mapping[str, Any]) -> dict[str, str]:
    """A result as columns: the row's own `values` first, then what the handler adds; what is nested becomes text.

    A name that the table needs itself, or that `values` has too, gets `result.` before it.
    """
    values = result.get("values")
    inner: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
    outer = {key: value for key, value in result.items() if value is not inner}
    table: dict[str, str] = {}
    for key, value in (*inner.items(), *outer.items()):
        table[_named(key, taken={"row", *table})] = _cell(value)
    return table


def _named(key: str, taken: set[str]) -> str:
    while key in taken:
        key = f"result.{key}"
    return key


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(value)
    return json.dumps(value, ensure_ascii=False)
