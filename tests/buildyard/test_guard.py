"""The guard: foreign pages, odd paths and callers without the token stay outside, of the producer and of the scaler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.api import Problem
from buildyard.guard import Guard, GuardRules, Message, Receive, Scope, Send, refusal
from buildyard.settings import Settings

LIVE, ALSO_LIVE = "/api/v1/live", "/api/v1/health/live"


def rules_of(settings: Settings) -> GuardRules:
    return GuardRules.of(settings, settings.api, (LIVE, ALSO_LIVE))


LOCAL = rules_of(Settings(allowed_hosts="build.example, *.not-a-pattern"))
OPEN = rules_of(Settings(host="0.0.0.0", token="s3cret", api_url="https://farm.example", allowed_hosts="ci.example"))


def refused(rules: GuardRules, path: str = "/api/v1/builds", **headers: str) -> str:
    given_headers = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    error = refusal(rules, path.encode("latin-1"), given_headers)
    return error.code if error else ""


# ------------------------------------------------------------------------------------------------ Host
@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:8000", ""),
        ("localhost", ""),
        ("LOCALHOST:1", ""),
        ("LOCALHOST.", ""),
        ("localhost.:80", ""),
        ("[::1]:8000", ""),
        ("127.8.8.8:8000", ""),
        ("build.example:8000", ""),
        ("", "forbidden"),
        ("evil.example", "forbidden"),
        ("evil.example:8080", "forbidden"),
        ("localhost.evil.example", "forbidden"),
        ("127.0.0.1.evil.example", "forbidden"),
        ("evil.example:8000#localhost", "forbidden"),
        ("user@localhost", "forbidden"),
        ("localhost:8000/x", "forbidden"),
        ("192.168.1.7:8000", "forbidden"),
        ("0.0.0.0:8000", "forbidden"),
        ("[::1", "forbidden"),
        ("localhost, evil.example", "forbidden"),
        ("\u00ff", "forbidden"),
        ("\0", "forbidden"),
    ],
)
def test_only_the_farms_own_names_are_served(host: str, code: str) -> None:
    assert refused(LOCAL, host=host) == code


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("farm.example", ""),
        ("ci.example:1", ""),
        ("10.1.2.3:8080", ""),
        ("[2001:db8::1]:8080", ""),
        ("evil.example", "forbidden"),
        ("10.1.2.3.example", "forbidden"),
    ],
)
def test_on_all_addresses_every_address_is_ours_and_no_further_name(host: str, code: str) -> None:
    assert refused(OPEN, host=host, authorization="Bearer s3cret") == code


def test_on_one_address_only_that_one_is_ours() -> None:
    rules = rules_of(Settings(host="192.168.1.7", token="s3cret"))

    assert refused(rules, host="192.168.1.7:8000", authorization="Bearer s3cret") == ""
    assert refused(rules, host="192.168.1.8:8000", authorization="Bearer s3cret") == "forbidden"


def test_each_server_knows_its_own_name_only() -> None:
    settings = Settings(api_url="https://farm.example", scaler_url="https://scaler.example")
    producer, scaler = (GuardRules.of(settings, url, ()) for url in (settings.api, settings.scaler))

    assert (refused(producer, host="farm.example"), refused(producer, host="scaler.example")) == ("", "forbidden")
    assert (refused(scaler, host="farm.example"), refused(scaler, host="scaler.example")) == ("forbidden", "")


def test_a_url_that_is_none_names_nothing() -> None:
    rules = GuardRules.of(Settings(api_url="http://[", scaler_url="here"), "http://[", ())

    assert rules.hosts == {"localhost", "127.0.0.1", "::1"}
    assert not rules.origins


# ------------------------------------------------------------------------------------------------ Origin
@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost:8000", ""),
        ("HTTP://LocalHost:8000", ""),
        ("http://127.0.0.1:8000", ""),
        ("http://127.0.0.1:8080", ""),
        ("https://build.example", ""),
        ("http://build.example:3000", ""),
        ("http://localhost:3000", "forbidden"),
        ("http://127.0.0.1:9", "forbidden"),
        ("http://evil.example", "forbidden"),
        ("http://localhost:8000.evil.example", "forbidden"),
        ("http://localhost:8000/page", "forbidden"),
        ("http://localhost:8000 http://evil.example", "forbidden"),
        ("http://evil.example@localhost:8000", "forbidden"),
        ("null", "forbidden"),
        ("", "forbidden"),
        ("http://", "forbidden"),
        ("http://[", "forbidden"),
        ("file://", "forbidden"),
        ("file://localhost:8000", "forbidden"),
        ("chrome-extension://localhost:8000", "forbidden"),
        ("\0", "forbidden"),
    ],
)
def test_pages_of_other_origins_are_kept_out(origin: str, code: str) -> None:
    assert refused(LOCAL, host="localhost:8000", origin=origin) == code


def test_a_farm_of_any_name_still_takes_no_foreign_page() -> None:
    rules = replace(LOCAL, hosts=LOCAL.hosts | {"*"})

    assert refused(rules, host="any.example") == ""
    assert refused(rules, host="any.example", origin="https://any.example") == ""
    for origin in ("https://evil.example", "https://*"):
        assert refused(rules, host="any.example", origin=origin) == "forbidden"


# ------------------------------------------------------------------------------------------------ token
@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Bearer s3cret", ""),
        ("bearer s3cret", ""),
        ("", "unauthorized"),
        ("s3cret", "unauthorized"),
        ("Bearer", "unauthorized"),
        ("Bearer wrong", "unauthorized"),
        ("Bearer s3cre", "unauthorized"),
        ("Bearer s3crets", "unauthorized"),
        ("Bearer \u00fc", "unauthorized"),
        ("Basic s3cret", "unauthorized"),
        ("Bearer s3cret s3cret", "unauthorized"),
        ("bearer s3cret x", "unauthorized"),
        ("\0", "unauthorized"),
    ],
)
def test_a_farm_with_a_token_asks_everybody_for_it(authorization: str, code: str) -> None:
    assert refused(OPEN, host="10.1.2.3:8000", authorization=authorization) == code
    assert refused(OPEN, host="farm.example", authorization=authorization) == code


def test_only_open_paths_need_no_token() -> None:
    assert [refused(OPEN, path, host="10.1.2.3") for path in (LIVE, ALSO_LIVE)] == ["", ""]
    odd = ("/api/v1/live/", "/api/v1/live;x", "/api/v1/LIVE", "//api/v1/live", "/api/v1/%6cive")
    for path in (*odd, "/api/v1/health", "/metrics", "/"):
        assert refused(OPEN, path, host="10.1.2.3") == "unauthorized"


@given(path=st.binary(max_size=40), token=st.binary(max_size=20))
def test_nothing_passes_without_the_token(path: bytes, token: bytes) -> None:
    error = refusal(OPEN, b"/" + path, {b"host": b"10.1.2.3", b"authorization": b"Bearer " + token})

    assert error is not None or b"/" + path in {LIVE.encode(), ALSO_LIVE.encode()} or token.strip() == b"s3cret"


@given(host=st.text(st.characters(max_codepoint=255)), origin=st.text(st.characters(max_codepoint=255)))
def test_no_header_breaks_the_guard(host: str, origin: str) -> None:
    assert refused(OPEN, host=host, origin=origin) in {"forbidden", "unauthorized"}
    assert refused(LOCAL, host="localhost:8000", origin=origin) == "forbidden"


# ------------------------------------------------------------------------------------------------ paths
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/builds;.jsp",
        "//api/v1/builds",
        "/api//v1/builds",
        "/api/v1/%2e%2e/builds",
        "/api/v1/%2E/builds",
        "/api/v1/../builds",
        "/api/v1/./builds",
        "/api/v1/builds/..",
        "/api/v1/builds/.",
        "/api\\v1\\builds",
        "/api/v1%2fbuilds",
        "/api/v1%5Cbuilds",
        "/api/v1/builds%00",
        "/api/v1/builds%0d%0aX: y",
        "/api/v1/%252e/builds",
        "/api/v1/builds%3b",
        "/api/v1/\u00fc",
    ],
)
def test_odd_forms_of_a_path_lead_nowhere(path: str) -> None:
    assert refused(LOCAL, path, host="localhost") == "not_found"
    assert refused(OPEN, path, host="10.1.2.3") == "unauthorized"


# ------------------------------------------------------------------------------------------------ as ASGI
async def _served(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "served"})


async def sent_for(rules: GuardRules, kind: str = "http", headers: Sequence[tuple[bytes, bytes]] = ()) -> list[Message]:
    """What a guarded application that answers `served` sends for one request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    await Guard(_served, rules)({"type": kind, "path": "/api/v1/builds", "headers": headers}, receive, send)
    return sent


async def test_a_request_that_is_not_refused_reaches_the_application() -> None:
    assert await sent_for(LOCAL, headers=[(b"host", b"localhost")]) == [{"type": "served"}]


async def test_a_refusal_is_a_problem_that_says_what_to_send() -> None:
    start, body = await sent_for(OPEN, headers=[(b"host", b"farm.example")])

    problem = Problem.model_validate_json(body["body"])
    assert (start["status"], problem.status, problem.code) == (401, 401, "unauthorized")
    assert "Authorization: Bearer" in problem.remedy
    assert problem.instance == "/api/v1/builds"
    assert dict(start["headers"]) == {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body["body"])).encode(),
        b"cache-control": b"no-store",
        b"www-authenticate": b'Bearer realm="buildyard"',
    }


@pytest.mark.parametrize("twice", [b"host", b"origin", b"authorization"])
async def test_a_header_that_is_sent_twice_counts_as_neither(twice: bytes) -> None:
    good = [(b"host", b"farm.example"), (b"origin", b"https://farm.example"), (b"authorization", b"Bearer s3cret")]
    assert await sent_for(OPEN, headers=good) == [{"type": "served"}]

    again = [(name, value) for name, value in good if name == twice]
    assert (await sent_for(OPEN, headers=[*good, *again]))[0]["status"] in {401, 403}


async def test_a_websocket_is_closed_at_once() -> None:
    sent = await sent_for(LOCAL, "websocket", [(b"host", b"localhost")])

    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_starting_and_stopping_are_nobodys_request() -> None:
    assert await sent_for(OPEN, "lifespan") == [{"type": "served"}]
