"""The request that a row becomes; pure. Whatever stands in a row is a value in it, never more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from buildyard.errors import InvalidRequest
from buildyard.project.call_section import METHODS, PLACE, CallOptions, check_header_name
from worker.calls.addresses import Address, check_address

URL_COLUMN = "url"
METHOD_COLUMN = "method"
BODY_COLUMN = "body"
HEADER_PREFIX = "header_"

_MAX_HEADER = 8192
_MAX_HEADERS_BYTES = 32 * 1024
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SECRET_NAME = re.compile(r"auth|cookie|key|token|secret|passw|credential|signature", re.IGNORECASE)
_LEAST_SECRET = 6


@dataclass(frozen=True)
class Call:
    """One request. `secrets` are texts in it that nobody may read in a result or a log."""

    row: int
    method: str
    address: Address
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def masked(self, text: str) -> str:
        """The text without the call's secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def check_columns(columns: Sequence[str], options: CallOptions) -> None:
    """Judge a CSV's header before any row is called.

    Raises:
        InvalidRequest: rows of these columns cannot become calls.
    """
    missing = sorted(options.named_columns() - set(columns))
    if missing:
        raise InvalidRequest(f"[call] names the column {missing[0][:60]!r}, which the CSV does not have.", field="call")
    if options.url is None and URL_COLUMN not in columns:
        raise InvalidRequest(
            f"The CSV has no column `{URL_COLUMN}`, so its rows cannot be called.",
            remedy="Add the column, or set url in [call] of buildyard.toml.",
        )
    _header_columns(columns)


def call_of(row: int, values: Mapping[str, str], options: CallOptions, build: str, allowed: Sequence[str]) -> Call:
    """The call of a row of this build.

    Args:
        row: its number, from 1.
        values: its columns.
        options: how the build's rows are called.
        build: the build's id, part of the idempotency key.
        allowed: the services that may be called.

    Raises:
        InvalidRequest: address, method, body or a header cannot be sent as the row says it.
        Forbidden: the address may not be called.
    """
    url = values.get(URL_COLUMN, "").strip() if options.url is None else _filled(options.url, values, escape=True)
    address = check_address(url, allowed)
    body, kind = _body(values, options)
    method = options.method or values.get(METHOD_COLUMN, "").strip().upper() or ("POST" if body else "GET")
    if method not in METHODS:
        raise InvalidRequest(f"The method {method[:20]!r} is none of {', '.join(METHODS)}.")
    if body and method in {"GET", "HEAD"}:
        raise InvalidRequest(f"A {method} call takes no body.")
    own = _own_headers(values, options)
    secrets = tuple(
        part for name, value in (*own.items(), *_query(address)) if _is_secret(name) for part in _parts(value)
    )
    headers = {
        **({"content-type": kind} if body else {}),
        **own,
        "host": address.host_header,
        "idempotency-key": f"{build}-{row}",
    }
    if sum(len(name) + len(value) for name, value in headers.items()) > _MAX_HEADERS_BYTES:
        raise InvalidRequest(f"The row's headers are larger than {_MAX_HEADERS_BYTES:,} bytes.")
    return Call(row, method, address, tuple(headers.items()), body, secrets)


def _body(values: Mapping[str, str], options: CallOptions) -> tuple[bytes, str]:
    """The bytes to send and what they are."""
    if options.body:
        fields = {name: _filled(template, values) for name, template in options.body.items()}
        return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
    text = values.get(BODY_COLUMN, "")
    return text.encode("utf-8", "replace"), "application/json" if _is_json(text) else "text/plain; charset=utf-8"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _own_headers(values: Mapping[str, str], options: CallOptions) -> dict[str, str]:
    """The headers that options and row give, by lower-case name; an empty value of a row leaves a header out."""
    found = {name.lower(): _filled(template, values) for name, template in options.headers.items()}
    columns = _header_columns(values)
    found |= {name: values[column] for column, name in columns.items() if values[column].strip()}
    for name, value in found.items():
        if len(value) > _MAX_HEADER or not _HEADER_VALUE.fullmatch(value):
            raise InvalidRequest(f"The header {name!r} has a value that no header can have.")
    return {name: value.strip() for name, value in found.items()}


def _header_columns(columns: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    """Column -> header: `header_x_api_key` is `x-api-key`."""
    found: dict[str, str] = {}
    for column in columns:
        if not column.startswith(HEADER_PREFIX):
            continue
        name = column.removeprefix(HEADER_PREFIX).replace("_", "-").lower()
        try:
            check_header_name(name)
        except ValueError as error:
            raise InvalidRequest(f"The column {column[:60]!r} cannot be sent: {error}.") from error
        if name in found.values():
            raise InvalidRequest(f"Two columns are the header {name[:60]!r}.")
        found[column] = name
    return found


def _filled(template: str, values: Mapping[str, str], *, escape: bool = False) -> str:
    """The template with its places filled, in one pass: braces in a value are just braces."""

    def value_of(place: re.Match[str]) -> str:
        value = values.get(place[1], "")
        return escaped(value) if escape else value

    return PLACE.sub(value_of, template)


def escaped(value: str) -> str:
    """A value as part of an address: every byte that could mean anything there is %-escaped (RFC 3986)."""
    encoded = value.encode("utf-8", "replace")
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in encoded)


def _query(address: Address) -> list[tuple[str, str]]:
    pairs = (pair.partition("=") for pair in address.target.partition("?")[2].split("&"))
    return [(name, value) for name, _, value in pairs]


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _parts(value: str) -> tuple[str, ...]:
    """A secret and its words, also as JSON may write them, the longest first: `Bearer x` and `x`."""
    words = {value, *value.split()}
    written = {one for word in words if len(word) >= _LEAST_SECRET for one in (word, *_escaped(word))}
    return tuple(sorted(written, key=len, reverse=True))


def _escaped(word: str) -> tuple[str, ...]:
    """The ways in which encoders of JSON write a text: some escape `/`, some `+` and other signs of HTML."""
    plain = json.dumps(word)[1:-1]
    slashes = plain.replace("/", "\\/")
    signs = plain
    for sign in "+&<>'":
        signs = signs.replace(sign, f"\\u{ord(sign):04X}")
    return plain, json.dumps(word, ensure_ascii=False)[1:-1], slashes, signs, signs.lower()
