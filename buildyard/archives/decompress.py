"""gzip and zstd as streams of bounded memory that notice every cut, damage and addition."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

from buildyard.archives.entry import PIECE
from buildyard.archives.refusals import damaged

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Small on purpose: what follows a frame is copied once for each frame, and a hostile file has a frame every 20 bytes.
_INPUT_PIECE = 32 * 1024
_GZIP_WRAPPER = 16  # zlib's code for "expect a gzip header and check its trailer"
_WINDOW_LOG_MAX = 27  # 128 MiB of memory at most


class _Decoder(Protocol):
    """One compressed frame. `hungry`: give more input; else call again with what was left."""

    @property
    def eof(self) -> bool: ...
    @property
    def hungry(self) -> bool: ...
    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Return (at most 1 MiB unpacked, input not used yet)."""


class _Gzip:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_WRAPPER + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def hungry(self) -> bool:
        return not self._zlib.unconsumed_tail

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        output = self._zlib.decompress(data, PIECE)
        return output, self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail


class _Zstd:
    def __init__(self) -> None:
        self._zstd = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})

    @property
    def eof(self) -> bool:
        return self._zstd.eof

    @property
    def hungry(self) -> bool:
        return self._zstd.needs_input

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        output = self._zstd.decompress(data, PIECE)
        return output, self._zstd.unused_data if self._zstd.eof else b""


class Decompressed:
    """The unpacked bytes of a gzip or zstd file, read forwards; several frames in a row count as one.

    Zeros may follow the last frame, as tapes leave them; anything else that is not a frame is refused.
    `checkpoint` is called for every piece of input, so that a stream without output can be stopped too.
    """

    def __init__(self, source: BinaryIO, decoder: Callable[[], _Decoder], checkpoint: Callable[[], None]) -> None:
        self._source = source
        self._new_decoder = decoder
        self._checkpoint = checkpoint
        self._decoder: _Decoder | None = None
        self._input = b""
        self._output = b""
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return 1 to `size` bytes, or b"" at the true end. Raises HostileArchive for damage."""
        if self._position == len(self._output):
            self._output, self._position = self._next_output(), 0
        piece = self._output[self._position : self._position + size]
        self._position += len(piece)
        return piece

    def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes, fewer only where the stream ends."""
        pieces = [self.read(size)]
        left = size - len(pieces[0])
        while left and pieces[-1]:
            pieces.append(self.read(left))
            left -= len(pieces[-1])
        return b"".join(pieces)

    def _next_output(self) -> bytes:
        while True:
            self._checkpoint()
            if self._decoder is None and not self._begin_frame():
                return b""
            output = self._decode()
            if output:
                return output

    def _begin_frame(self) -> bool:
        """Start the next frame; False at the end of the file."""
        self._input = self._input or self._source.read(_INPUT_PIECE)
        while self._input.startswith(b"\0"):
            if self._input.strip(b"\0"):
                raise damaged("something else follows its end")
            self._input = self._source.read(_INPUT_PIECE)
        if not self._input:
            return False
        self._decoder = self._new_decoder()
        return True

    def _decode(self) -> bytes:
        decoder = self._decoder
        assert decoder is not None
        at_end = False
        if not self._input and decoder.hungry:
            self._input = self._source.read(_INPUT_PIECE)
            at_end = not self._input
        try:
            output, self._input = decoder.decode(self._input)
        except (zlib.error, zstd.ZstdError) as error:
            raise damaged(_reason(error)) from error
        if decoder.eof:
            self._decoder = None
        elif at_end and not output:
            raise damaged("it is cut off")
        return output


def gunzipped(source: BinaryIO, checkpoint: Callable[[], None]) -> Decompressed:
    """Read a gzip file of one or more members."""
    return Decompressed(source, _Gzip, checkpoint)


def unzstd(source: BinaryIO, checkpoint: Callable[[], None]) -> Decompressed:
    """Read a zstd file of one or more frames whose window is at most 128 MiB."""
    return Decompressed(source, _Zstd, checkpoint)


def _reason(error: Exception) -> str:
    if "too much memory" in str(error):
        return "its zstd window is larger than 128 MiB"
    return "its compressed bytes do not check"
