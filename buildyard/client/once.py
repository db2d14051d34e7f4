"""One request, sent until its answer is there: under a key, what was done already is not done again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from buildyard.client.following import PATIENCE_SECONDS
from buildyard.client.transport import broke_off
from buildyard.errors import BuildyardError, Conflict, TemporaryError

_Answer = TypeVar("_Answer")
_IN_PROGRESS = "in_progress"
_PAUSE_SECONDS = 1.0


async def answered_once(
    send: Callable[[], Awaitable[_Answer]], on_retry: Callable[[BuildyardError], None] = lambda _: None
) -> _Answer:
    """Send a request that carries an idempotency key again when its connection broke before the answer came.

    It is tried for 30 s of waiting; then, and for every other failure of the first try, the error is raised. Nobody
    there at all is such a failure: nothing was sent.
    """
    waited = 0.0
    broken = False
    while True:
        try:
            return await send()
        except (TemporaryError, Conflict) as error:
            broken = broken or broke_off(error)
            busy = error.code == _IN_PROGRESS
            if not (busy or (broken and isinstance(error, TemporaryError))) or waited >= PATIENCE_SECONDS:
                raise
            pause = error.retry_after if isinstance(error, TemporaryError) else _PAUSE_SECONDS
            on_retry(error)
        waited += pause
        await asyncio.sleep(pause)
