"""Questions that reach a scaler which stands by: it asks the one that leads, and hands its answer on as it comes.

So it does not matter which of several scalers a client comes to behind one address, and every one of them may be ready:
a Service that knew only the leader would have one ready pod, which no node could be drained of. An answer is handed on
once: where two scalers take each other for the leader, the second one says that it stands by.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from starlette.requests import Request
from starlette.responses import StreamingResponse

from buildyard.client import ScalerClient
from buildyard.client.scaler import HANDED_ON
from buildyard.errors import ScalerUnavailable
from scaler.leading import Leadership

_NAMED = re.compile(r"(?P<url>http://(?P<host>\[[0-9a-f:.]+\]|[\w.-]+):\d+) \(")
_NOWHERE = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - compared with, not bound to
_HEADERS = ("cache-control", "x-content-type-options")


class AskTheLeader(Exception):
    """This question is for the scaler at `url`: no error, only the way out of the handler that it came to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def url_of(leader: str) -> str:
    """Where a leader is reached, by how it named itself; "" where that says nothing to others."""
    found = _NAMED.match(leader)
    return found["url"] if found and found["host"] not in _NOWHERE else ""


def check_leads(leadership: Leadership, request: Request, *, needed: bool) -> None:
    """Return when this scaler may answer.

    Args:
        leadership: whether it leads.
        request: the question.
        needed: whether one that stands by knows no answer.

    Raises:
        AskTheLeader: another one leads and can be asked.
        ScalerUnavailable: another one leads, or nobody, and only that one would know.
    """
    if leadership.leads:
        return
    leader = leadership.leader()
    url = url_of(leader)
    if url and HANDED_ON not in request.headers:
        raise AskTheLeader(url)
    if needed:
        raise ScalerUnavailable(
            f"This scaler stands by: {leader} leads." if leader else "This scaler stands by.",
            remedy="Ask the one that leads.",
        )


async def answer_of(url: str, token: str, request: Request) -> StreamingResponse:
    """The leader's answer, in the pieces in which it comes. Raises the error that it answers with."""
    stack = AsyncExitStack()
    try:
        leader = await stack.enter_async_context(ScalerClient(url, token))
        path = request.scope["raw_path"].decode("latin-1")
        answer = await stack.enter_async_context(leader.as_it_comes(path, dict(request.query_params)))
    except BaseException:
        await stack.aclose()
        raise

    async def pieces() -> AsyncIterator[bytes]:
        async with stack:
            async for piece in answer.chunks():
                yield piece

    headers = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
    return StreamingResponse(pieces(), media_type=answer.headers.get("content-type"), headers=headers)
