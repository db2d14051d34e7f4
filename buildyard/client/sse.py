"""Server-sent events: lines into (id, data). Pure but for the iterator it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator

from pydantic import ValidationError

from buildyard.contracts.events import BuildEvent


async def events_of(lines: AsyncIterator[str]) -> AsyncIterator[BuildEvent]:
    """The events of a stream; comments, other fields and event types of a newer server are passed over."""
    data: list[str] = []
    async for raw in lines:
        line = raw.removesuffix("\r")
        if line:
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))
        elif data:
            event = _event("\n".join(data))
            data = []
            if event is not None:
                yield event


def _event(data: str) -> BuildEvent | None:
    try:
        return BuildEvent.model_validate_json(data)
    except ValidationError:
        return None
