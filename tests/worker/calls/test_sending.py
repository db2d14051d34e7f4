from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.project.call_section import MAX_KEPT_BYTES, CallOptions
from tests import servers
from tests.contract.http_stub import HttpStub, drip, flood, hang_up, http_stub, never
from worker.calls.retrying import Answer, Fault
from worker.calls.row_call import Call, call_of
from worker.calls.sending import MAX_JSON_BYTES, Sender

READ_SOON = CallOptions(connect_seconds=60, read_seconds=0.3, whole_seconds=60)
WHOLE_SOON = CallOptions(connect_seconds=60, read_seconds=60, whole_seconds=0.6)


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with http_stub() as running:
        yield running


def call_to(port: int, path: str = "/", *, allowed: tuple[str, ...] = (), **columns: str) -> Call:
    allowed = allowed or (f"127.0.0.1:{port}",)
    values = {"url": f"http://127.0.0.1:{port}{path}", **columns}
    return call_of(1, values, CallOptions(), "build", allowed)


async def send(call: Call, options: CallOptions | None = None) -> Answer | Fault:
    async with Sender(options or CallOptions(), SystemClock()) as sender:
        return await sender.send(call)


async def test_what_a_row_says_arrives_as_it_says_it_and_nothing_besides() -> None:
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head + (await reader.readexactly(2)).decode())
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 4\r\nSet-Cookie: a=b\r\nConnection: close\r\n\r\nmade")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        call = call_to(port, "/a%2Fb?q=%C3%A4&r", method="PUT", body="{}", header_authorization="Bearer x-secret")
        async with Sender(CallOptions(), SystemClock()) as sender:
            answers = [await sender.send(call) for _ in range(2)]

    assert answers == [Answer(201, b"made")] * 2
    assert heads[0] == heads[1], "the second call carries something of the first"
    assert sorted(heads[0].lower().split("\r\n")) == sorted(
        [
            "put /a%2fb?q=%c3%a4&r http/1.1",
            "user-agent: buildyard",
            "accept: */*",
            "accept-encoding: identity",
            "content-type: application/json",
            "authorization: bearer x-secret",
            f"host: 127.0.0.1:{port}",
            "idempotency-key: build-1",
            "content-length: 2",
            "",
            "{}",
        ]
    )


async def test_a_redirect_is_an_answer_and_nobody_goes_there(stub: HttpStub) -> None:
    async def elsewhere(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 X\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    stub.answers["/here"] = elsewhere

    assert await send(call_to(stub.port, "/here")) == Answer(302)
    assert stub.asked == ["/here"]


@pytest.mark.parametrize(
    ("answer", "options", "cause"),
    [
        (never, READ_SOON, "no answer within 0.3 s"),
        (drip, WHOLE_SOON, "no whole answer within 0.6 s"),
        (hang_up, CallOptions(), "it broke off the connection, or does not speak HTTP"),
    ],
    ids=["silent", "dripping", "cut"],
)
async def test_a_bad_answer_is_a_fault_that_may_pass(
    stub: HttpStub, answer: object, options: CallOptions, cause: str
) -> None:
    stub.answers["/"] = answer  # type: ignore[assignment]
    assert await send(call_to(stub.port), options) == Fault(cause)


async def test_a_service_that_is_not_there_is_a_fault_that_may_pass(stub: HttpStub) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert await send(call_to(port)) == Fault("no connection")


async def test_of_an_answer_without_end_only_a_bounded_part_is_read(stub: HttpStub) -> None:
    stub.answers["/"] = flood
    text = await send(call_to(stub.port))
    assert isinstance(text, Answer)
    assert (len(text.body), text.cut) == (MAX_KEPT_BYTES, True)
    document = await send(call_to(stub.port), CallOptions(fields=("a",)))
    assert isinstance(document, Answer)
    assert (len(document.body), document.cut) == (MAX_JSON_BYTES, True)


async def test_a_name_that_leads_inside_is_never_connected_to(stub: HttpStub) -> None:
    call = call_of(1, {"url": "https://localhost/"}, CallOptions(), "build", ("localhost",))
    found = await send(call)
    assert isinstance(found, Fault)
    assert not found.temporary
    assert "private address" in found.cause
    assert stub.asked == []


async def test_a_name_that_does_not_exist_is_a_fault_that_may_pass() -> None:
    call = call_of(1, {"url": "https://no-such-name.invalid/"}, CallOptions(), "build", ("no-such-name.invalid",))
    assert await send(call) == Fault("its name could not be found")


async def test_the_certificate_has_to_be_the_names_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    servers.need("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    whose = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    command = ["openssl", "req", *kind, *whose, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]

        async def ask(host: str) -> Answer | Fault:
            values = {"url": f"https://{host}:{port}/"}
            return await send(call_of(1, values, CallOptions(), "build", (f"{host}:{port}",)))

        untrusted = await ask("localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        answers = [await ask("localhost"), await ask("127.0.0.1")]

    assert isinstance(untrusted, Fault)
    assert "certificate is not trusted" in untrusted.cause
    assert answers[0] == Answer(200, b"ok")
    assert isinstance(answers[1], Fault)
    assert "certificate is not trusted" in answers[1].cause
