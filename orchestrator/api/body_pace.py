"""A body must come at BODY_BYTES_PER_SECOND on average after BODY_SECONDS of waiting, or it is given up (408).

All other bounds of connections are in `buildyard/connections.py`.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildyard.clock import Clock
from orchestrator.api.problems import too_slow

BODY_SECONDS = 60.0
BODY_BYTES_PER_SECOND = 1024.0


class BodyPace:
    """Gives up a body that comes too slowly on average. Only the time in which it is waited for counts."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with an eye on its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waited, came, complete = 0.0, 0, False

        async def paced() -> Message:
            nonlocal waited, came, complete
            begun = self._clock.monotonic()
            message = await receive()
            if complete or message["type"] != "http.request":
                return message
            waited += self._clock.monotonic() - begun
            came += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if not complete and waited > BODY_SECONDS + came / BODY_BYTES_PER_SECOND:
                raise too_slow(f"The body came at less than {BODY_BYTES_PER_SECOND:g} bytes a second.")
            return message

        await self._app(scope, paced, send)
