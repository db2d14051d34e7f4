"""The guard before every request: no foreign web page, no odd path and, where a token is set, nobody without it.

A server on loopback is within reach of every web page that its user opens: a page can post a form to it (told by
Origin) or rebind its own name to 127.0.0.1 (told by Host). Nothing is routed before these checks. The producer and
the scaler share this one guard, as plain ASGI: the kernel names no web framework.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from buildyard.errors import BuildyardError, Forbidden, NotFound, Unauthorized
from buildyard.problems import NOWHERE, PROBLEM_TYPE, headers_of, problem_of
from buildyard.settings import Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
_ANY_HOST = "*"
_SCHEMES = frozenset({"http", "https"})
_ODD_PATH = re.compile(rb"//|[;\\\x00-\x20\x7f-\xff]|%(2e|2f|5c|3b|25|[01][0-9a-f])|/\.{1,2}(/|$)", re.IGNORECASE)
_HOST = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]/@?#\s]+))(?::\d{1,5})?")
_READ_HEADERS = frozenset({b"host", b"origin", b"authorization"})
_POLICY_VIOLATION = 1008
"""The code with which a websocket is closed."""


@dataclass(frozen=True)
class GuardRules:
    """Whom the guard lets in."""

    hosts: frozenset[str]
    """Names under which the server is called, in lower case; `*` stands for every name, but for no page's origin."""
    any_address: bool
    """Whether a Host that is a bare IP address is taken: rebinding needs a name, so an address is never foreign."""
    origins: frozenset[str]
    """Further pages that may use the server, each as `scheme://host:port` in lower case."""
    token: str
    open_paths: frozenset[str]
    """What a probe may ask without the token, as it is sent, before any decoding."""
    sockets: frozenset[str] = frozenset()
    """Where websockets are let in; a page of ours must have opened them."""

    @classmethod
    def of(cls, settings: Settings, url: str, open_paths: Iterable[str], sockets: Iterable[str] = ()) -> GuardRules:
        """The rules that follow from the settings for the server that clients find at `url`."""
        named = {word.lower() for word in settings.listed("allowed_hosts")}
        own = {settings.host.lower(), _name_of(_scheme_and_place(url)[1])}
        pages = (_scheme_and_place(page) for page in (settings.api, settings.scaler))
        return cls(
            hosts=frozenset((named | own | _LOOPBACK_NAMES) - _ANY_ADDRESS - {""}),
            any_address=settings.host in _ANY_ADDRESS,
            origins=frozenset(f"{scheme}://{place}" for scheme, place in pages if place),
            token=settings.token,
            open_paths=frozenset(open_paths),
            sockets=frozenset(sockets),
        )


def refusal(rules: GuardRules, path: bytes, headers: Mapping[bytes, bytes]) -> BuildyardError | None:
    """Why a request is refused, or None. `path` is the path as it was sent, before any decoding."""
    host = headers.get(b"host", b"").decode("latin-1")
    if not _host_allowed(rules, host):
        return Forbidden(
            f"This server is not called {host[:100]!r}.", remedy="Name the host in BUILDYARD_ALLOWED_HOSTS to allow it."
        )
    origin = headers.get(b"origin")
    if origin is not None and not _origin_allowed(rules, origin.decode("latin-1"), host):
        return Forbidden(
            "A web page of another site may not use this server.",
            remedy="Name the page's host in BUILDYARD_ALLOWED_HOSTS to allow it.",
        )
    if rules.token and path.decode("latin-1") not in rules.open_paths and not _token_given(rules.token, headers):
        return Unauthorized(
            "This server needs a token.", remedy="Send `Authorization: Bearer TOKEN` with the value of BUILDYARD_TOKEN."
        )
    if _ODD_PATH.search(path):
        sentence, remedy = NOWHERE
        return NotFound(sentence, remedy=remedy)
    return None


def _host_allowed(rules: GuardRules, host: str) -> bool:
    name = _name_of(host)
    if not name:
        return False
    if name in rules.hosts or _ANY_HOST in rules.hosts:
        return True
    return _is_address(name) and (rules.any_address or ip_address(name).is_loopback)


def _origin_allowed(rules: GuardRules, origin: str, host: str) -> bool:
    """Pages of this server, of the other one and of allowed names; other ports of loopback are other programs."""
    scheme, place = _scheme_and_place(origin)
    if scheme not in _SCHEMES or not place or f"{scheme}://{place}" != origin.lower():
        return False
    if place == host.lower() or origin.lower() in rules.origins:
        return True
    return _name_of(place) in rules.hosts - _LOOPBACK_NAMES - {_ANY_HOST}


def _token_given(token: str, headers: Mapping[bytes, bytes]) -> bool:
    scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
    return hmac.compare_digest(given.strip(), token.encode()) and scheme.lower() == b"bearer"


def _scheme_and_place(url: str) -> tuple[str, str]:
    """`http` and `host:port` of a URL, in lower case; both empty when it is none."""
    try:
        split = urlsplit(url)
    except ValueError:
        return "", ""
    return split.scheme, split.netloc.lower()


def _name_of(host: str) -> str:
    """The lower-case name or address in `host:port`; empty when it is neither."""
    match = _HOST.fullmatch(host)
    return (match["six"] or match["name"]).lower().rstrip(".") if match else ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Asks `refusal` before every request and answers with its problem."""

    def __init__(self, app: Application, rules: GuardRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in, or answer it; a websocket is closed unless it may come in, and a page of ours asks."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        headers = _read_once(scope["headers"])
        refused = refusal(self._rules, path, headers)
        if scope["type"] != "http":
            let_in = refused is None and path.decode("latin-1") in self._rules.sockets and b"origin" in headers
            if let_in:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        elif refused is None:
            await self._app(scope, receive, send)
        else:
            await _answer(refused, scope["path"], send)


def _read_once(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers the guard reads; one that is sent twice counts as neither of its values."""
    read: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ_HEADERS:
            read[name] = value if name not in read else b"\0"
    return read


async def _answer(error: BuildyardError, path: str, send: Send) -> None:
    problem = problem_of(error, path)
    body = problem.encode()
    headers = {"Content-Type": PROBLEM_TYPE, "Content-Length": str(len(body)), **headers_of(error)}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
