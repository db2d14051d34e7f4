"""One line of a log at full length, JSON one field a row. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tui.safe_text import LINE_LIMIT, clean
from tui.state.events import LogLine
from tui.state.logs import Item

MOST_CHARACTERS = 1 << 20
"""Of one line; what is longer is for the pager."""


def whole_line(text: str, items: Iterable[Item]) -> str:
    """The line that is kept as `text`, which may be cut, as long as its source sent it, still safe to draw.

    Args:
        text: a line of a log pane.
        items: what the store keeps of the logs that it may come from.
    """
    if len(text) < LINE_LIMIT:
        return text
    for item in items:
        if isinstance(item, LogLine) and len(item.text) > LINE_LIMIT and clean(item.text).text == text:
            return clean(item.text, limit=MOST_CHARACTERS).text
    return text


def expanded(text: str) -> str:
    """The line; where it is JSON, or ends in JSON, that with one field a row. Every row is safe to draw."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return text
    try:
        value = json.loads(text[start:])
    except (ValueError, RecursionError):
        return text
    before = [text[:start].rstrip()] if text[:start].strip() else []
    rows = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return "\n".join([*before, *(clean(row, limit=MOST_CHARACTERS).text for row in rows)])
