"""Server-sent events: lines into (event, data, id). Pure but for the iterator it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from pydantic import ValidationError

from buildyard.contracts.events import BuildEvent


class ServerSent(NamedTuple):
    """One block of a stream; what it does not hold is "". One without data only moves the reader's place on."""

    event: str
    data: str
    id: str


async def blocks_of(lines: AsyncIterator[str]) -> AsyncIterator[ServerSent]:
    """The blocks of a stream that hold data or an id; comments and other fields are passed over."""
    event, data, id_ = "", list[str](), ""
    async for raw in lines:
        line = raw.removesuffix("\r")
        if line:
            field, _, text = line.partition(":")
            value = text.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                event = value
            elif field == "id":
                id_ = value
        else:
            if data or id_:
                yield ServerSent(event, "\n".join(data), id_)
            event, data, id_ = "", [], ""


async def events_of(lines: AsyncIterator[str]) -> AsyncIterator[BuildEvent]:
    """The events of a build's stream; comments, other fields and event types of a newer server are passed over."""
    async for block in blocks_of(lines):
        try:
            event = BuildEvent.model_validate_json(block.data)
        except ValidationError:
            continue
        yield event
