"""`ETag` and `If-None-Match` for answers in JSON: a reader that knows the answer already gets 304 and no body.

The tags are weak: they stand for what an answer says, not for its bytes. The moment at which something was counted is
no part of that, so a pool in which nothing moves keeps its tag.
"""

from __future__ import annotations

import hashlib
import re

from starlette.requests import Request
from starlette.responses import Response

from orchestrator.api.ranges import names_tag

_MOMENT = re.compile(rb',?"at":"[^"]*"\}$')
_OK = 200
_NOT_MODIFIED = 304
_HEX_DIGITS = 32


def weak_tag(body: bytes) -> str:
    """The tag of a JSON answer."""
    said = _MOMENT.sub(b"}", body)
    return f'W/"{hashlib.sha256(said).hexdigest()[:_HEX_DIGITS]}"'


def conditional(request: Request, response: Response) -> Response:
    """The answer with its tag, or 304 when the request names it; what is no plain JSON passes as it is."""
    plain = response.status_code == _OK and response.headers.get("content-type") == "application/json"
    if not plain or "etag" in response.headers or not isinstance(body := getattr(response, "body", None), bytes):
        return response
    headers = {"ETag": weak_tag(body), "Cache-Control": "private, no-cache"}
    if names_tag(request.headers.get("if-none-match"), headers["ETag"].removeprefix("W/")):
        return Response(status_code=_NOT_MODIFIED, headers=headers)
    response.headers.update(headers)
    return response
