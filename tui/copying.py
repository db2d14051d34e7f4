"""Things of the store as JSON, for the clipboard. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import TypeAdapter

from tui.state import Ref, Store

_ANY: TypeAdapter[object] = TypeAdapter(object)
_PACKED: dict[str, Any] = {"packed": True, "decision": {"packed": True}}
"""Bytes that stand for a decision, alone or as the last one about a pool."""
_OBEYED = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def as_json(store: Store, ref: Ref) -> str:
    """What is known of a thing, in the API's own shape where there is one; "" where nothing is."""
    if ref.kind == "decision":
        row = store.decisions.get(int(ref.id)) if ref.id.isdecimal() else None
        return "" if row is None else _indented(row.whole().encode())
    found: object = {
        "build": store.details.get(ref.id) or store.builds.get(ref.id),
        "job": store.jobs.get(ref.id),
        "agent": store.agents.get(ref.id),
        "pool": store.pools.get(ref.id),
        "dead": store.dead.get(ref.id),
        "source": store.sources.get(ref.id),
    }.get(ref.kind)
    return "" if found is None else _indented(_ANY.dump_json(found, exclude=_PACKED, by_alias=True))


def _indented(text: str | bytes) -> str:
    """Indented; what a terminal might obey, or what turns the order of letters around, is escaped: the same JSON."""
    return _OBEYED.sub(
        lambda found: f"\\u{ord(found[0]):04x}", json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    )
