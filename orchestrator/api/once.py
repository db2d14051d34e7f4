"""`Idempotency-Key`: a request that is sent again is not done again, but answered as it was the first time.

The key belongs to its requester and stands in the store with a fingerprint of the request: method, address and body,
of an upload the file's SHA-256, its name and the form's other fields. Answers of success are kept for 24 hours; a
request that was refused leaves its key free. What failed for a temporary cause, or with its producer, is run again
under the same key, and makes the same build: the build's id is chosen when the key is taken.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from buildyard.errors import Conflict, InvalidRequest, PermanentError, TemporaryError
from orchestrator.api.parts import ApiParts
from orchestrator.domain.once import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")
_IN_SCOPE = "buildyard.once"
_SUCCESS = range(200, 300)
_TRIES = 25
_PAUSE_SECONDS = 0.2
_ACCEPTED = 202

Handler = Callable[[Request], Awaitable[Response]]


class _Answered(Exception):
    """No error: it carries an earlier answer past the endpoint."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__()
        self.answer = answer


class _Once:
    """One request with a key."""

    def __init__(self, parts: ApiParts, key: str, about: str) -> None:
        self._parts = parts
        self._key = key
        self._about = about
        self._held = False
        self.build_id: str | None = None

    async def identified(self, *parts: str) -> None:
        """The request is known as a whole: take its key. Raises the earlier answer where there is one."""
        fingerprint = hashlib.sha256("\0".join((self._about, *parts)).encode("utf-8", "replace")).hexdigest()
        held = await self._hold(fingerprint)
        if isinstance(held, KeptAnswer):
            raise _Answered(held)
        self._held, self.build_id = True, held
        earlier = await self._parts.service.accepted_earlier(held)
        if earlier is not None:
            answer = KeptAnswer(_ACCEPTED, earlier.encode().decode(), earlier.links.self_)
            await self._parts.service.keep_answer(self._parts.requester, self._key, answer)
            raise _Answered(answer)

    async def _hold(self, fingerprint: str) -> KeptAnswer | str:
        """Take the key, waiting some seconds for a request that has it."""
        for left in range(_TRIES, -1, -1):
            try:
                return await self._parts.service.hold_key(self._parts.requester, self._key, fingerprint)
            except Conflict:
                if left == 0:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
        raise AssertionError  # the last round returned or raised

    async def answered(self, response: Response) -> None:
        """Keep an answer of success, which the store must hold before it is given."""
        if not self._held:
            return
        if response.status_code not in _SUCCESS:
            await self.failed(refused=True)
            return
        text = bytes(response.body).decode()
        answer = KeptAnswer(response.status_code, text, response.headers.get("location", ""))
        with suppress(TemporaryError):  # what was done is done: told again, it is found by its build's id
            await self._parts.service.keep_answer(self._parts.requester, self._key, answer)

    async def failed(self, *, refused: bool) -> None:
        """Let go of the key."""
        if self._held:
            with suppress(TemporaryError):  # then its hold runs out
                await self._parts.service.release_key(self._parts.requester, self._key, refused=refused)


async def done_once(request: Request, handler: Handler, body: bytes | None) -> Response:
    """Run a handler for a POST, unless the same request was answered before.

    `body` None says that the endpoint itself tells when it knows the request (`identified`).

    Raises:
        InvalidRequest: the key is none, or came with another request.
        Conflict: (code `in_progress`) the first request is still worked on.
    """
    keys = request.headers.getlist(HEADER)
    if not keys:
        return await handler(request)
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise InvalidRequest("An Idempotency-Key is 1 to 255 printable ASCII characters, sent once.", field=HEADER)
    query: bytes = request.scope.get("query_string", b"")
    about = f"{request.method} {request.url.path}?{query.decode('latin-1')}"
    once = _Once(request.app.state.parts, keys[0], about)
    request.scope[_IN_SCOPE] = once
    try:
        if body is not None:
            await once.identified(hashlib.sha256(body).hexdigest())
        response = await handler(request)
    except _Answered as known:
        return _again(known.answer)
    except (PermanentError, RequestValidationError, HTTPException):
        await once.failed(refused=True)
        raise
    except BaseException:
        await once.failed(refused=False)
        raise
    await once.answered(response)
    return response


async def identified(request: Request, *parts: str) -> None:
    """For an endpoint that reads its body itself: these words are what the request is."""
    once: _Once | None = request.scope.get(_IN_SCOPE)
    if once is not None:
        await once.identified(*parts)


async def new_build_id(request: Request) -> str | None:
    """The id that a build of this request is to have, where its key tells; None lets the service choose."""
    once: _Once | None = request.scope.get(_IN_SCOPE)
    return once.build_id if once is not None else None


NewBuildId = Annotated[str | None, Depends(new_build_id)]


def _again(answer: KeptAnswer) -> Response:
    headers = {REPLAYED: "true", **({"Location": answer.location} if answer.location else {})}
    return Response(answer.body, answer.status, headers, "application/json")
