"""Things of the store as JSON, for the clipboard. Pure."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from tui.state import Ref, Store

_ANY: TypeAdapter[object] = TypeAdapter(object)


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
    return "" if found is None else _indented(_ANY.dump_json(found, exclude={"packed"}, by_alias=True))


def _indented(text: str | bytes) -> str:
    return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
