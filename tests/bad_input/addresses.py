"""Ids, paths, headers, methods and query parameters that are none."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from tests.bad_input.cases import BELOW, group
from tests.bad_input.raw_http import TOKEN, get, head, post_json, request

NOBODY = "01938a2e-7c1b-7d8e-9f00-123456789abc"
_BUILDS = "/api/v1/builds"
_WHO, _NO, _METHOD = "unauthorized", "forbidden", "method_not_allowed"
_GONE, _WRONG, _NOT = "not_found", "invalid_request", "There is nothing at this address"


def _open(target: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Without the token."""
    return get(target, {"Authorization": None, **(headers or {})})


_TWO_TOKENS = ("Host: localhost", "Connection: close", "Authorization: Bearer x", f"Authorization: Bearer {TOKEN}")
_IDS = {
    "a word": "x",
    "empty braces": "{}",
    "upper case": NOBODY.upper(),
    "without dashes": NOBODY.replace("-", ""),
    "in braces": quote("{" + NOBODY + "}"),
    "urn": f"urn:uuid:{NOBODY}",
    "SQL": quote("1' OR '1'='1"),
    "SQL comment": quote(f"{NOBODY}'--"),
    "a line break behind": NOBODY + quote("\u2028"),
    "template": quote("{{7*7}}${7*7}"),
    "star": "*",
    "null": "null",
    "-1": "-1",
    "5000 letters": "a" * 5000,
}
IDS = (
    *group("id", ((n, get(f"{_BUILDS}/{i}"), 404, _GONE, "malformed") for n, i in _IDS.items())),
    *group(
        "id",
        [
            ("of nobody", get(f"{_BUILDS}/{NOBODY}"), 404, _GONE, "There is no build"),
            ("of nobody's log", get(f"{_BUILDS}/{NOBODY}/logs?follow=1"), 404, _GONE, "There is no build"),
            ("of nobody's events", get(f"{_BUILDS}/{NOBODY}/events"), 404, _GONE, "There is no build"),
            ("of nobody's rows", get(f"{_BUILDS}/{NOBODY}/rows?format=csv"), 404, _GONE, "There is no build"),
            ("of nobody's trace", get(f"{_BUILDS}/{NOBODY}/trace"), 404, _GONE, "There is no build"),
            ("of nobody to cancel", request("POST", f"{_BUILDS}/{NOBODY}/cancel"), 404, _GONE, "There is no build"),
            ("of no artifact", get(f"/api/v1/artifacts/{NOBODY}/download"), 404, _GONE, "There is no artifact"),
            ("of no upload", post_json(f"/api/v1/jobs/{NOBODY}/build", {"job": {}}), 404, _GONE, "upload"),
            ("of an upload, odd", post_json("/api/v1/jobs/x/build", {"job": {}}), 404, _GONE, "malformed"),
            ("of an agent, odd", get("/api/v1/agents/Linux_1"), 404, _GONE, "malformed"),
            ("of no agent", get("/api/v1/agents/linux-9-9"), 404, _GONE, "There is no agent"),
            ("of an agent, to its log", get("/api/v1/agents/@evil.example/logs"), 404, _GONE, "malformed"),
        ],
    ),
)

_PATHS: dict[str, str | bytes] = {
    "semicolon": "/api/v1/builds;x",
    "semicolon to a neighbour": "/api/v1/health/live/..;/builds",
    "a .jsp behind": "/api/v1/builds;.jsp",
    "two slashes": "//api/v1/builds",
    "two slashes inside": "/api//v1/builds",
    "encoded dots": "/api/v1/health/%2e%2e/builds",
    "encoded dots, upper case": "/api/v1/x/%2E%2E/builds",
    "dots": "/api/v1/health/../builds",
    "one dot": "/api/v1/./builds",
    "encoded slash": "/api%2fv1/builds",
    "encoded backslash": "/api%5cv1/builds",
    "encoded percent": "/api/v1/%252e%252e/builds",
    "encoded NUL": "/api/v1/builds/%00",
    "encoded line break": "/api/v1/builds/%0d%0aX:y",
    "encoded semicolon": "/api/v1/builds%3Bx",
    "backslash": "/api\\v1\\builds",
    "trailing slash": "/api/v1/builds/",
    "trailing dot": "/api/v1/builds.",
    "trailing space": "/api/v1/builds%20",
    "upper case": "/API/V1/BUILDS",
    "another version": "/api/v2/builds",
    "metrics below": "/metrics/x",
    "docs": "/docs",
    "redoc": "/redoc",
    "git": "/.git/config",
    "passwd": "/etc/passwd",
    "environment": "/api/v1/env",
}
ROUTES = (
    *group("path", ((n, get(p), 404, _GONE, _NOT) for n, p in _PATHS.items())),
    *group(
        "path",
        [
            ("10,000 letters", get("/" + "a" * 10_000), 404, _GONE, _NOT),
            ("300,000 letters", get("/" + "a" * 300_000), 400, BELOW, "Invalid HTTP"),
            ("not ASCII", get(b"/api/v1/b\xfcilds"), 400, BELOW, "Invalid HTTP"),
            ("a space", get("/api/v1/builds x"), 400, BELOW, "Invalid HTTP"),
            ("NUL", get(b"/api/v1/builds\0"), 400, BELOW, "Invalid HTTP"),
            ("a whole address", get("http://evil.example/api/v1/builds"), 404, _GONE, _NOT),
            ("a star", request("OPTIONS", "*"), 404, _GONE, _NOT),
            ("no path", get("api/v1/builds"), 404, _GONE, _NOT),
            ("an open one with more", _open("/api/v1/live/../builds"), 401, _WHO, "token"),
            ("an open one with a semicolon", _open("/api/v1/live;/builds"), 401, _WHO, "token"),
            ("an open one, encoded", _open("/api/v1/l%69ve"), 401, _WHO, "token"),
        ],
    ),
)  # fmt: skip

_METHODS = {
    "DELETE": _BUILDS,
    "PUT": _BUILDS,
    "PATCH": f"{_BUILDS}/{NOBODY}",
    "TRACE": _BUILDS,
    "OPTIONS": _BUILDS,
    "CONNECT": _BUILDS,
    "PROPFIND": _BUILDS,
    "get": _BUILDS,
    "GET": "/upload",
    "POST": f"{_BUILDS}/{NOBODY}",
}
METHODS = group(
    "method",
    (
        (f"{m} {p}"[:30], request(m, p), 405, "method_not_allowed", "does not take this method")
        for m, p in _METHODS.items()
    ),
)

_EVIL = "is not called"
_PAGE = "web page of another site"


def _auth(value: str | None) -> bytes:
    return get(_BUILDS, {"Authorization": value})


HEADERS = (
    *group(
        "Host",
        [
            ("foreign", get(_BUILDS, {"Host": "evil.example"}), 403, _NO, _EVIL),
            ("rebound", get(_BUILDS, {"Host": "127.0.0.1.evil.example:80"}), 403, _NO, _EVIL),
            ("with a user", get(_BUILDS, {"Host": "127.0.0.1@evil.example"}), 403, _NO, _EVIL),
            ("with a path", get(_BUILDS, {"Host": "127.0.0.1/x"}), 403, _NO, _EVIL),
            ("decimal", get(_BUILDS, {"Host": "2130706433"}), 403, _NO, _EVIL),
            ("any address", get(_BUILDS, {"Host": "0.0.0.0"}), 403, _NO, _EVIL),
            ("private", get(_BUILDS, {"Host": "10.0.0.1"}), 403, _NO, _EVIL),
            ("empty", get(_BUILDS, {"Host": ""}), 403, _NO, _EVIL),
            ("broken IPv6", get(_BUILDS, {"Host": "[::1"}), 403, _NO, _EVIL),
            ("5000 letters", get(_BUILDS, {"Host": "a" * 5000}), 403, _NO, _EVIL),
            ("none", get(_BUILDS, {"Host": None}), 400, BELOW, "Invalid HTTP"),
            ("twice", head("GET", _BUILDS, "Host: 127.0.0.1", "Host: evil.example"), 400, BELOW, "Invalid HTTP"),
            ("with no token", get(_BUILDS, {"Host": "evil.example", "Authorization": None}), 403, _NO, _EVIL),
        ],
    ),
    *group(
        "Origin",
        [
            ("foreign", get(_BUILDS, {"Origin": "https://evil.example"}), 403, _NO, _PAGE),
            ("null", get(_BUILDS, {"Origin": "null"}), 403, _NO, _PAGE),
            ("a file", get(_BUILDS, {"Origin": "file://"}), 403, _NO, _PAGE),
            ("another port", get(_BUILDS, {"Origin": "http://127.0.0.1:1"}), 403, _NO, _PAGE),
            ("with a user", get(_BUILDS, {"Origin": "http://127.0.0.1@evil.example"}), 403, _NO, _PAGE),
            ("empty", get(_BUILDS, {"Origin": ""}), 403, _NO, _PAGE),
            ("two in one", get(_BUILDS, {"Origin": "http://127.0.0.1 https://evil.example"}), 403, _NO, _PAGE),
            ("broken", get(_BUILDS, {"Origin": "http://[::1"}), 403, _NO, _PAGE),
            ("of a form", request("POST", "/upload", {"Origin": "https://evil.example"}, b"x"), 403, _NO, _PAGE),
        ],
    ),
    *group(
        "Authorization",
        [
            ("none", _auth(None), 401, _WHO, "needs a token"),
            ("empty", _auth(""), 401, _WHO, "needs a token"),
            ("no scheme", _auth(TOKEN), 401, _WHO, "needs a token"),
            ("no token", _auth("Bearer"), 401, _WHO, "needs a token"),
            ("blank token", _auth("Bearer  "), 401, _WHO, "needs a token"),
            ("another token", _auth("Bearer x"), 401, _WHO, "needs a token"),
            ("a prefix", _auth(f"Bearer {TOKEN[:-1]}"), 401, _WHO, "needs a token"),
            ("more", _auth(f"Bearer {TOKEN}x"), 401, _WHO, "needs a token"),
            ("upper case", _auth(f"Bearer {TOKEN.upper()}"), 401, _WHO, "needs a token"),
            ("Basic", _auth(f"Basic {TOKEN}"), 401, _WHO, "needs a token"),
            ("two in one", _auth(f"Bearer x, Bearer {TOKEN}"), 401, _WHO, "needs a token"),
            ("unsigned JWT", _auth("Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."), 401, _WHO, "token"),
            ("not ASCII", _auth("Bearer t\u00f6ken"), 401, _WHO, "needs a token"),
            ("5000 letters", _auth("Bearer " + "a" * 5000), 401, _WHO, "needs a token"),
            ("in the query", _open(f"{_BUILDS}?access_token={TOKEN}&token={TOKEN}"), 401, _WHO, "needs a token"),
            ("in a cookie", _open(_BUILDS, {"Cookie": f"token={TOKEN}"}), 401, _WHO, "needs a token"),
            ("twice", head("GET", _BUILDS, *_TWO_TOKENS), 401, _WHO, "needs a token"),
        ],
    ),
    *group(
        "header",
        [
            ("another address in X-Original-URL", get("/x", {"X-Original-URL": _BUILDS}), 404, _GONE, _NOT),
            ("another method", request("GET", "/upload", {"X-Method-Override": "POST"}), 405, _METHOD, "method"),
            ("another host", get(_BUILDS, {"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1"}), 403, _NO, _EVIL),
            ("another client", _open(_BUILDS, {"X-Forwarded-For": "127.0.0.1"}), 401, _WHO, "token"),
            ("NUL", get(_BUILDS, {"X": "a\0b"}), 400, BELOW, "Invalid HTTP"),
            ("line break", get(_BUILDS, {"X": "a\nb"}), 400, BELOW, "Invalid HTTP"),
            ("space in its name", get(_BUILDS, {"X y": "a"}), 400, BELOW, "Invalid HTTP"),
            ("300,000 letters", get(_BUILDS, {"X": "a" * 300_000}), 400, BELOW, "Invalid HTTP"),
            ("30,000 of them", head("GET", _BUILDS, *[f"X{n}: y" for n in range(30_000)]), 400, BELOW, "Invalid HTTP"),
            ("another protocol", b"GET / HTTX/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400, BELOW, "Invalid HTTP"),
            ("no protocol", b"GET /\r\n\r\n", 400, BELOW, "Invalid HTTP"),
            ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, BELOW, "Invalid HTTP"),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, _NO, _EVIL),
            ("AMQP", b"AMQP\x00\x00\x09\x01\r\n\r\n", 400, BELOW, "Invalid HTTP"),
        ],
    ),
)  # fmt: skip

_QUERIES = {
    "limit=0": "limit must be at least 1",
    "limit=-1": "limit must be at least 1",
    "limit=201": "limit must be at most 200",
    "limit=": "limit must be a whole number",
    "limit=ten": "limit must be a whole number",
    "limit=1e3": "limit must be a whole number",
    "limit=1.5": "limit must be a whole number",
    "limit=NaN": "limit must be a whole number",
    "limit=0x10": "limit must be a whole number",
    f"limit={'9' * 30}": "limit must be at most 200",
    f"limit={'9' * 5000}": "limit is too large a number",
    "limit=1&limit=x": "limit must be a whole number",
    "status=Nope": "status must be one of",
    "status=": "status must be one of",
    "status=Running%00": "status must be one of",
    "status=Running'--": "status must be one of",
    f"status={'x' * 30}": "status is longer than 20",
    "project=%00": "project has characters",
    "project=%0d%0aX:y": "project has characters",
    f"project={'x' * 101}": "project is longer than 100",
    f"pool={'x' * 41}": "pool is longer than 40",
    "pool=%1b[2J": "pool has characters",
    "cursor=%00": "cursor has characters",
    f"cursor={'x' * 501}": "cursor is longer than 500",
}
_OF_A_BUILD = {
    "logs?from=0": "from must be at least 1",
    "logs?from=5&to=4": "ends before it begins",
    "logs?to=0": "to must be at least 1",
    "logs?tail=0": "tail must be at least 1",
    "logs?tail=-5": "tail must be at least 1",
    "logs?tail=99999999": "tail must be at most",
    "logs?tail=5&from=2": "not for both",
    "logs?stage=Deploy": "stage must be one of",
    "logs?format=xml": "format must be one of",
    "logs?follow=maybe": "follow must be true or false",
    "rows?limit=1001": "limit must be at most 1000",
    "rows?limit=0": "limit must be at least 1",
    "rows?after=-1": "after must be at least 0",
    "rows?after=99999999": "after must be at most",
    "rows?format=exe": "format must be one of",
    "rows?failed=2": "failed must be true or false",
    "events?after=-1": "after must be at least 0",
    "events?after=2147483648": "after must be at most",
    "events?after=x": "after must be a whole number",
}
QUERIES = (
    *group("query", ((q[:40], get(f"{_BUILDS}?{q}"), 422, _WRONG, w) for q, w in _QUERIES.items())),
    *group("query", ((q, get(f"{_BUILDS}/{NOBODY}/{q}"), 422, _WRONG, w) for q, w in _OF_A_BUILD.items())),
)

_AGENT = {
    "name": "linux-1-1",
    "pool": "linux",
    "hostname": "h",
    "pid": 1,
    "version": "1",
    "capabilities": {},
    "health": {},
}


def _joining(**changed: object) -> bytes:
    return post_json("/api/v1/agents", {**_AGENT, **changed})


_DRAIN = "/api/v1/agents/linux-9-9/drain"
_CLAIM = "/api/v1/agents/linux-9-9/claim"
AGENTS = group(
    "agent",
    [
        ("named with a path", _joining(name="../linux"), 422, _WRONG, "name has characters"),
        ("named with 100 letters", _joining(name="a" * 100), 422, _WRONG, "name has characters"),
        ("in no pool", _joining(pool="windows"), 422, _WRONG, "There is no pool 'windows'"),
        ("pid below 0", _joining(pid=-1), 422, _WRONG, "pid must be at least 0"),
        ("pid beyond all", _joining(pid=2**31), 422, _WRONG, "pid must be less than"),
        ("host of 5000 letters", _joining(hostname="h" * 5000), 422, _WRONG, "hostname is longer than 255"),
        ("cores below 0", _joining(capabilities={"cores": -1}), 422, _WRONG, "capabilities.cores must be at least 0"),
        ("cores true", _joining(capabilities={"cores": True}), 422, _WRONG, "cores must be a number"),
        ("memory false", _joining(health={"memoryFreeBytes": False}), 422, _WRONG, "must be a whole number"),
        ("pid true", _joining(pid=True), 422, _WRONG, "pid must be a whole number"),
        ("cores NaN", _joining(capabilities={"cores": "NaN"}), 422, _WRONG, "capabilities.cores"),
        ("tools as a list", _joining(capabilities={"tools": ["git"]}), 422, _WRONG, "must be an object"),
        ("with a role", _joining(role="admin"), 422, _WRONG, "role is not a known field"),
        ("without health", post_json("/api/v1/agents", {**_AGENT, "health": None}), 422, _WRONG, "health must be an"),
        ("claims unknown", post_json(_CLAIM, {"claimId": NOBODY, "pool": "linux"}), 404, _GONE, "There is no agent"),
        ("claims with an odd id", post_json(_CLAIM, {"claimId": "1", "pool": "linux"}), 422, _WRONG, "claimId has"),
        ("drains unknown", post_json(_DRAIN, {"reason": "x"}), 404, _GONE, "no agent"),
        ("drains for 5000 letters", post_json(_DRAIN, {"reason": "x" * 5000}), 422, _WRONG, "longer than 500"),
    ],
)  # fmt: skip

ADDRESSES = (*IDS, *ROUTES, *METHODS, *HEADERS, *QUERIES, *AGENTS)
