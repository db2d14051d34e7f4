"""Scanners: what ClamAV finds is told, what it cannot look at is never clean."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator

import pytest

from buildyard.errors import InvalidSettings, TemporaryError, TooLarge
from orchestrator.scan import open_scanner
from orchestrator.scan.clamav import ClamAv
from tests import servers
from tests.orchestrator.scan.fake_clamd import EICAR, FakeClamd


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_no_scanner_finds_nothing_at_once() -> None:
    scanner = open_scanner("none:")

    assert scanner.instant
    assert await scanner.scan(pieces(EICAR)) is None


async def test_a_clean_upload_is_sent_whole_and_found_clean() -> None:
    body = bytes(range(256)) * 4096
    async with FakeClamd().listening() as clamd:
        scanner = open_scanner(f"clamav://127.0.0.1:{clamd.port}")

        assert not scanner.instant
        assert await scanner.scan(pieces(body, b"", b"end")) is None
        assert bytes(clamd.seen) == body + b"end"


async def test_what_is_found_is_named_also_across_pieces() -> None:
    async with FakeClamd().listening() as clamd:
        scanner = ClamAv("127.0.0.1", clamd.port)

        assert await scanner.scan(pieces(EICAR[:30], EICAR[30:])) == "Eicar-Signature"


async def test_an_upload_beyond_the_scanners_limit_is_not_clean() -> None:
    async with FakeClamd(limit=2**20).listening() as clamd:
        scanner = ClamAv("127.0.0.1", clamd.port)

        with pytest.raises(TooLarge, match="larger than the scanner reads") as raised:
            await scanner.scan(pieces(*[bytes(2**20)] * 40))

    assert "StreamMaxLength" in raised.value.remedy


@pytest.mark.parametrize("answer", [b"", b"stream: ", b"UNKNOWN COMMAND\0", b"stream: Can't open file ERROR\0", b"\0"])
async def test_an_answer_that_is_no_verdict_is_not_clean(answer: bytes) -> None:
    async with FakeClamd(answer=answer).listening() as clamd:
        with pytest.raises(TemporaryError):
            await ClamAv("127.0.0.1", clamd.port).scan(pieces(b"x"))


async def test_a_scanner_that_is_not_there_is_not_clean() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(TemporaryError, match="cannot be reached"):
        await ClamAv("127.0.0.1", port).scan(pieces(b"x"))


@pytest.mark.parametrize("url", ["", "none", "clamav:", "clamav://", "clamav://h:x", "http://h:1", "clamav://h:99999"])
def test_a_url_that_names_no_scanner_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings):
        open_scanner(url)


async def test_a_real_clamd_finds_eicar() -> None:
    url = os.environ.get("BUILDYARD_TEST_CLAMAV")
    if not url:
        servers.absent("BUILDYARD_TEST_CLAMAV names no clamd")
    scanner = open_scanner(url)

    assert await scanner.scan(pieces(b"nothing")) is None
    assert "eicar" in (await scanner.scan(pieces(EICAR)) or "").lower()
