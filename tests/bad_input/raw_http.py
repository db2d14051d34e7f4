"""Requests written byte by byte, because a client library would refuse to send most of them."""

from __future__ import annotations

import http.client
import io
import json
import socket
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TOKEN = "the-token-of-this-test"
PATIENCE = 60.0
_HEAD_LIMIT = 70_000
_TRIES = 5
_USUAL = {"Host": "127.0.0.1", "Authorization": f"Bearer {TOKEN}", "Connection": "close"}


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0 when the connection was closed without an answer."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(
    method: str, target: str | bytes, headers: Mapping[str, str | None] | None = None, body: bytes | None = None
) -> bytes:
    """One request; `headers` replace the usual ones by name, None leaves one out."""
    shown = {**_USUAL, **({} if body is None else {"Content-Length": str(len(body))}), **(headers or {})}
    lines = [f"{name}: {value}" for name, value in shown.items() if value is not None]
    return head(method, target, *lines) + (body or b"")


def head(method: str, target: str | bytes, *lines: str) -> bytes:
    """A request line and header lines as they are."""
    path = target.encode("latin-1") if isinstance(target, str) else target
    joined = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return method.encode() + b" " + path + b" HTTP/1.1\r\n" + joined + b"\r\n"


def get(target: str | bytes, headers: Mapping[str, str | None] | None = None) -> bytes:
    """A GET request."""
    return request("GET", target, headers)


def post_json(target: str, body: object, kind: str | None = "application/json") -> bytes:
    """A POST of JSON; bytes go as they are, anything else is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request("POST", target, {"Content-Type": kind}, raw)


@dataclass(frozen=True)
class FormPart:
    """A part of a form: the value of its Content-Disposition after `form-data; `, further header lines, content."""

    disposition: str | bytes
    content: bytes
    more: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """The part without its boundary."""
        told = self.disposition if isinstance(self.disposition, bytes) else self.disposition.encode()
        lines = "".join(f"\r\n{line}" for line in self.more).encode()
        return b"Content-Disposition: form-data; " + told + lines + b"\r\n\r\n" + self.content


def file_part(content: bytes, filename: str = "src.tar.gz", *more: str) -> FormPart:
    """The part `file`."""
    return FormPart(f'name="file"; filename="{filename}"', content, more)


def field_part(name: str, value: str | bytes) -> FormPart:
    """A plain field."""
    return FormPart(f'name="{name}"', value if isinstance(value, bytes) else value.encode())


def form(*parts: FormPart, end: bytes = b"--b--\r\n", boundary: bytes = b"b") -> bytes:
    """A form with the boundary `b`."""
    return b"".join(b"--" + boundary + b"\r\n" + part.encoded() + b"\r\n" for part in parts) + end


def post_form(body: bytes, target: str = "/upload", kind: str | None = "multipart/form-data; boundary=b") -> bytes:
    """A POST of a form."""
    return request("POST", target, {"Content-Type": kind}, body)


def upload(content: bytes, filename: str = "src.tar.gz", *fields: FormPart) -> bytes:
    """A whole upload of one file and further fields."""
    return post_form(form(*fields, file_part(content, filename)))


def exchange(port: int, sent: bytes, *, leave: bool = False) -> Answer:
    """Send bytes to the server on loopback and read one answer; `leave` closes our side after sending.

    Of a head that is longer than any server reads only as much is sent as makes it too long; and since what the server
    did not read any more makes a reset, in which its answer can be lost, that is tried several times.
    """
    if b"\r\n\r\n" in sent[:_HEAD_LIMIT] or len(sent) <= _HEAD_LIMIT:
        return _exchange(port, sent, leave=leave)
    answers = (_exchange(port, sent[:_HEAD_LIMIT], leave=leave) for _ in range(_TRIES))
    return next((answer for answer in answers if answer.status), Answer(0))


def _exchange(port: int, sent: bytes, *, leave: bool = False) -> Answer:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(sent)
            if leave:
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # the server answered and closed before it had read everything
            pass
        return _read(connection)


def _read(connection: socket.socket) -> Answer:
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    except (http.client.BadStatusLine, ConnectionError):
        return Answer(0)
    finally:
        response.close()


def make_zip(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
