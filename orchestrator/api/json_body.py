"""JSON bodies read strictly: what two parsers could read differently is refused instead of guessed at."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from email.message import Message
from typing import Any, NoReturn

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from buildyard.errors import TooLarge
from orchestrator.api.conditional import conditional
from orchestrator.api.once import done_once
from orchestrator.api.problems import unreadable, unsupported
from orchestrator.api.streams import without_stalls

BODY_MAX_BYTES = 2**20
_LEAST = -(2**63)  # what stores hold of a whole number
_MOST_DIGITS = 20  # and a longer one would cost time to read
_JSON_REMEDY = "Send JSON with the header `Content-Type: application/json`."


class JsonRoute(APIRoute):
    """A route in JSON: its body is read by `parse_json`, a POST with a key is done once, a GET's answer has a tag."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, behind the strict reader."""
        handler = super().get_route_handler()
        methods, has_body = self.methods or set(), self.body_field is not None

        async def handled(request: Request) -> Response:
            if "POST" not in methods:
                return conditional(request, await handler(request))
            if has_body:
                read = await _ReadRequest.of(request)
                return await done_once(read, handler, read.raw)
            streamed = request.headers.get("content-type", "").lower().startswith("multipart/")
            return await done_once(request, handler, None if streamed else b"")

        return handled


class _ReadRequest(Request):
    """A request whose body is here already."""

    raw: bytes
    _value: Any

    @classmethod
    async def of(cls, request: Request) -> _ReadRequest:
        raw = await _read(request.stream(), request.headers.get("content-length", ""))
        read = cls(request.scope, request.receive)
        read.raw = raw
        read._value = parse_json(raw) if raw and _is_json(request.headers.get("content-type", "")) else None
        return read

    async def body(self) -> bytes:
        return self.raw

    async def json(self) -> Any:
        return self._value


def _is_json(content_type: str) -> bool:
    header = Message()
    header["content-type"] = content_type
    if header.get_content_type() == "application/json" or header.get_content_subtype().endswith("+json"):
        return True
    raise unsupported("The body is not said to be JSON.", remedy=_JSON_REMEDY)


async def _read(stream: AsyncIterator[bytes], announced: str) -> bytes:
    if announced.isdigit() and int(announced) > BODY_MAX_BYTES:
        raise _too_large()
    body = bytearray()
    async for chunk in without_stalls(stream):
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> TooLarge:
    return TooLarge(f"The body is larger than {BODY_MAX_BYTES} bytes.", remedy="Send sources with POST /upload.")


def parse_json(raw: bytes) -> Any:
    """Read JSON.

    Raises:
        InvalidRequest: (400) it is not UTF-8 JSON, has a name twice in one object, a number that is not finite,
            a character that no store keeps, or is nested too deep.
    """
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
    except UnicodeDecodeError as error:
        raise unreadable("The body is not UTF-8.", remedy=_JSON_REMEDY) from error
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")  # some of the standard library's sentences go on so, some do not
        sentence = f"The body is not JSON: {what} at line {error.lineno}, column {error.colno}."
        raise unreadable(sentence, remedy=_JSON_REMEDY) from error
    except RecursionError as error:
        raise unreadable("The JSON is nested too deep.") from error
    if "\\u" in text:
        _refuse_unstorable(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise unreadable(f"The JSON has the name {twice[:60]!r} twice in one object.")
    return built


def _no_constant(word: str) -> NoReturn:
    raise unreadable(f"The JSON holds {word}, which is no JSON number.")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise unreadable(f"The number {digits[:40]} is too large.")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS or not _LEAST <= int(digits) <= -_LEAST - 1:
        raise unreadable(f"The number {digits[:40]} is too large.")
    return int(digits)


def _refuse_unstorable(value: Any) -> None:
    """Escapes can spell NUL and lone surrogates, which UTF-8 text in a database cannot hold."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, dict):
            rest += part.keys()
            rest += part.values()
        elif isinstance(part, list):
            rest += part
        elif isinstance(part, str):
            refuse_unstorable_text(part)


def refuse_unstorable_text(text: str) -> None:
    """Raises InvalidRequest (400) when a text holds NUL or half a character."""
    if "\0" in text or any("\ud800" <= mark <= "\udfff" for mark in text):
        raise unreadable("A text holds a character that cannot be kept: NUL, or half of a surrogate pair.")
