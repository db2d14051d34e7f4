"""ClamAV by its own protocol: INSTREAM over TCP. Whatever it cannot look at whole is not clean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from buildyard.errors import TemporaryError, TooLarge

_CONNECT_SECONDS = 5.0
_SEND_SECONDS = 60.0
_ANSWER_SECONDS = 600.0
"""clamd looks at the upload only when it has it whole; a large archive takes its time."""
_PIECE_BYTES = 256 * 2**10
_END = bytes(4)
_RETRY_SECONDS = 10.0


class ClamAv:
    """A scanner that asks clamd, one connection an upload."""

    instant = False

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    async def scan(self, chunks: AsyncIterator[bytes]) -> str | None:
        """The name of the signature that matched, or None.

        Raises:
            TemporaryError: clamd cannot be reached, or breaks off.
            TooLarge: clamd does not read as much.
        """
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:  # a timeout is one too
            raise self._failed("cannot be reached") from error
        try:
            return self._verdict(await self._ask(reader, writer, chunks))
        finally:
            writer.close()

    async def _ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes]
    ) -> bytes:
        answer = asyncio.ensure_future(reader.readuntil(b"\0"))  # heard while sending: a reset afterwards drops it
        try:
            with suppress(ConnectionError, TimeoutError):  # clamd breaks off when it has seen enough, and says why
                await _send(writer, chunks, answer)
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await answer
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise self._failed("broke off without an answer") from error
        finally:
            answer.cancel()

    def _verdict(self, answer: bytes) -> str | None:
        text = answer.rstrip(b"\0").decode("utf-8", "replace").removeprefix("stream: ").strip()
        if text == "OK":
            return None
        if text.endswith(" FOUND"):
            return text.removesuffix(" FOUND")
        if "size limit exceeded" in text:
            raise TooLarge(
                "The upload is larger than the scanner reads.", remedy="Raise StreamMaxLength in clamd.conf."
            )
        raise self._failed(f"answered {text[:100]!r}")

    def _failed(self, what: str, remedy: str = "Look whether clamd runs.") -> TemporaryError:
        sentence = f"The scanner clamav://{self._host}:{self._port} {what}; the upload waits."
        return TemporaryError(sentence, remedy=remedy, retry_after=_RETRY_SECONDS)


async def _send(writer: asyncio.StreamWriter, chunks: AsyncIterator[bytes], answer: asyncio.Future[bytes]) -> None:
    """Each piece behind its length and a length of 0 at the end; no more of it once the answer is here."""
    writer.write(b"zINSTREAM\0")
    async for chunk in chunks:
        for start in range(0, len(chunk), _PIECE_BYTES):
            if answer.done():
                return
            piece = chunk[start : start + _PIECE_BYTES]
            writer.write(len(piece).to_bytes(4, "big"))
            writer.write(piece)
            async with asyncio.timeout(_SEND_SECONDS):
                await writer.drain()
    writer.write(_END)
    await writer.drain()
