from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import BuildyardError, Forbidden, InvalidRequest
from buildyard.project.call_section import CallOptions
from worker.calls.addresses import check_address, check_resolved
from worker.calls.row_call import Call, call_of, check_columns

HOSTS = ("api.example.com", "127.0.0.1:9000", "http://inside.corp:8080", "[::1]:9001")
URL = "https://api.example.com/items"


def called(**values: str) -> Call:
    return with_options(CallOptions(), **values)


def with_options(options: CallOptions, /, **values: str) -> Call:
    return call_of(3, {"url": URL, **values}, options, "build", HOSTS)


# ---------------------------------------------------------------- addresses
@pytest.mark.parametrize(
    ("url", "service", "target", "vouched"),
    [
        ("https://api.example.com", "api.example.com:443", "/", False),
        ("https://API.example.com:443/a?b=c", "api.example.com:443", "/a?b=c", False),
        ("http://127.0.0.1:9000/x%20y", "127.0.0.1:9000", "/x%20y", True),
        ("https://127.0.0.1:9000/", "127.0.0.1:9000", "/", True),
        ("http://inside.corp:8080?q", "inside.corp:8080", "/?q", True),
        ("http://[::1]:9001/", "[::1]:9001", "/", True),
    ],
)
def test_an_allowed_address_is_taken_apart(url: str, service: str, target: str, vouched: bool) -> None:
    address = check_address(url, HOSTS)
    assert (address.service, address.target, address.vouched) == (service, target, vouched)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://api.example.com.evil.example/",
        "https://evil.example/",
        "https://inside.corp:8080/",
        "http://127.0.0.1/",
        "http://127.0.0.1:9001/",
        "http://127.1:9000/",
        "http://2130706433:9000/",
        "http://localhost:9000/",
        "http://169.254.169.254/latest/meta-data",
    ],
)
def test_an_address_that_nobody_allowed_is_refused(url: str) -> None:
    with pytest.raises(Forbidden, match="not allowed on this farm") as caught:
        check_address(url, HOSTS)
    assert "BUILDYARD_CALL_HOSTS" in caught.value.remedy


def test_a_farm_that_allows_nobody_says_what_to_set() -> None:
    with pytest.raises(Forbidden, match="BUILDYARD_CALL_HOSTS is empty"):
        check_address(URL, ())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "//api.example.com/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "HTTPS://api.example.com/",
        "https://user:secret@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://evil.example\\@api.example.com/",
        "https://api.example.com/#part",
        "https://api.example.com/a b",
        "https://api.example.com/\r\nX: y",
        "https://api.example.com/\u00e4",
        "https://api.example.com/%zz",
        "https://api.example.com:0/",
        "https://api.example.com:70000/",
        "https://api.example.com/a/../admin",
        "https://api.example.com/a/%2E%2e/admin",
        "https://api.example.com/./a",
        "https://api.example.com/\0",
        "https://api.example.com/" + "a" * 5000,
    ],
)
def test_a_malformed_address_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_address(url, HOSTS)
    assert "secret" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "found", ["10.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "100.64.0.1", "0.0.0.0"]
)
def test_a_name_that_leads_inside_is_refused_unless_somebody_vouched(found: str) -> None:
    with pytest.raises(Forbidden, match="private address"):
        check_resolved(check_address(URL, HOSTS), found)
    check_resolved(check_address("http://inside.corp:8080/", HOSTS), found)


@pytest.mark.parametrize("found", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"])
def test_nobody_can_vouch_for_a_clouds_metadata(found: str) -> None:
    with pytest.raises(Forbidden):
        check_resolved(check_address("http://inside.corp:8080/", HOSTS), found)


@given(st.text(max_size=80))
def test_whatever_a_row_says_only_an_allowed_service_is_called(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.example.com{text}", f"http://127.0.0.1:9000{text}"):
        try:
            address = check_address(url, HOSTS)
        except BuildyardError:
            continue
        assert address.service in {"api.example.com:443", "127.0.0.1:9000", "inside.corp:8080", "[::1]:9001"}
        assert address.target.isascii()
        assert not set(address.target) & set(' \r\n\t\\#"<>')


# ---------------------------------------------------------------- requests
def test_a_row_becomes_a_request_with_a_key_of_its_own() -> None:
    call = called(
        method="post", body='{"a": 1}', header_x_api_key="k-123456", header_Accept="text/csv", header_x_no=" "
    )
    assert (call.method, call.body, call.secrets) == ("POST", b'{"a": 1}', ("k-123456",))
    assert dict(call.headers) == {
        "content-type": "application/json",
        "x-api-key": "k-123456",
        "accept": "text/csv",
        "host": "api.example.com",
        "idempotency-key": "build-3",
    }
    assert "k-123456" not in repr(call)


def test_method_and_kind_follow_from_the_body() -> None:
    assert called().method == "GET"
    assert (called(body="x").method, dict(called(body="x").headers)["content-type"]) == (
        "POST",
        "text/plain; charset=utf-8",
    )
    assert dict(called(body="x", header_content_type="text/xml").headers)["content-type"] == "text/xml"


def test_templates_take_values_as_values() -> None:
    options = CallOptions(
        url="https://api.example.com/items/{id}?q={q}",
        method="PUT",
        headers={"X-Name": "n-{name}"},
        body={"name": "{name}", "both": "{id}/{q}"},
    )
    call = with_options(options, id="a/../b?c#d%", q="ä&x=1 {id}", name='"}, {"admin": "1')
    assert call.address.target == "/items/a%2F..%2Fb%3Fc%23d%25?q=%C3%A4%26x%3D1%20%7Bid%7D"
    assert json.loads(call.body) == {"name": '"}, {"admin": "1', "both": "a/../b?c#d%/ä&x=1 {id}"}
    assert dict(call.headers)["x-name"] == 'n-"}, {"admin": "1'


@given(st.text(max_size=40))
def test_a_value_never_leaves_its_place_in_the_address(value: str) -> None:
    options = CallOptions(url="https://api.example.com/items/{id}/end?q={id}")
    try:
        target = with_options(options, id=value).address.target
    except InvalidRequest:
        assert value in {".", ".."}
        return
    path, _, query = target.partition("?")
    assert path.count("/") == 3
    assert path.startswith("/items/")
    assert path.endswith("/end")
    assert query.startswith("q=")
    assert "&" not in query


@pytest.mark.parametrize(
    "columns",
    [
        {"method": "TRACE"},
        {"method": "GET\r\nX: y"},
        {"method": "GET", "body": "x"},
        {"header_x": "a\r\nInjected: yes"},
        {"header_x": "a\nb"},
        {"header_x": "a\0"},
        {"header_x": "caf\u00e9"},
        {"header_x": "y" * 9000},
        {"header_host": "evil.example"},
        {"header_Content_Length": "3"},
        {"header_transfer-encoding": "chunked"},
        {"header_idempotency_key": "mine"},
        {"header_proxy_authorization": "x"},
        {"header_": "x"},
        {"header_a b": "x"},
        {"header_x_a": "1", "header_X-A": "2"},
        {f"header_x{number}": "y" * 8000 for number in range(5)},
    ],
    ids=str,
)
def test_what_cannot_be_sent_as_it_stands_is_refused(columns: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        called(**columns)
    assert str(caught.value).isprintable()


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4))
def test_no_value_can_end_a_header(extra: dict[str, str]) -> None:
    values = {f"header_{name}": value for name, value in extra.items()}
    try:
        call = called(**values)
    except InvalidRequest:
        return
    for name, value in call.headers:
        assert name.isascii()
        assert not set(name + value) & set("\r\n\0")
    assert sum(name == "idempotency-key" for name, _ in call.headers) == 1


def test_a_csv_that_does_not_fit_its_call_is_refused_before_any_row() -> None:
    with pytest.raises(InvalidRequest, match="has no column `url`"):
        check_columns(("id",), CallOptions())
    with pytest.raises(InvalidRequest, match="the column 'name'"):
        check_columns(("id",), CallOptions(url="https://a.example/{id}", body={"x": "{name}"}))
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        check_columns(("url", "header_host"), CallOptions())
