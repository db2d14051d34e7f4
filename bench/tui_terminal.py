"""A program in a terminal of its own: what it writes is read at once, counted, and looked through for words."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

COLUMNS, LINES = 160, 45
PATIENCE = 180.0
_KEPT_BYTES = 64 << 10
_PIECE_BYTES = 64 << 10


class Terminal:
    """One program and its terminal; made by `in_terminal`."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.began = time.perf_counter()
        self.bytes = 0
        """All that it has written."""
        self.seen = b""
        """The newest of it."""

    def read(self, seconds: float) -> bytes:
        """What it writes next, as soon as it writes; b"" where that takes longer. SystemExit where it has ended."""
        if not select.select([self.master], [], [], seconds)[0]:
            return b""
        try:
            piece = os.read(self.master, _PIECE_BYTES)
        except OSError:  # nobody holds the other end any more
            self._ended_early()
        self.bytes += len(piece)
        self.seen = (self.seen + piece)[-_KEPT_BYTES:]
        return piece

    def attend(self, seconds: float) -> None:
        """Read for so long."""
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self.read(left)

    def until(self, wanted: bytes, patience: float = PATIENCE) -> float:
        """Read until it has written this; seconds since it was started. SystemExit where that never comes."""
        while wanted not in self.seen:
            self.read(1.0)
            if time.perf_counter() - self.began > patience:
                self._ended_early()
        return time.perf_counter() - self.began

    def press(self, keys: bytes) -> None:
        """Type something; what was written before is not looked through any more."""
        self.seen = b""
        os.write(self.master, keys)

    def _ended_early(self) -> None:
        said = self.seen[-2000:].decode(errors="replace")
        raise SystemExit(f"What runs in the terminal ended early, or did not answer:\n{said}")


@contextmanager
def in_terminal(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    columns: int = COLUMNS,
    lines: int = LINES,
    pass_fds: Sequence[int] = (),
) -> Iterator[Terminal]:
    """Run a program in a new terminal with colours for the length of the block; it is killed then."""
    master, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "TEXTUAL"}}
    process = subprocess.Popen(
        list(command),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})},
        pass_fds=pass_fds,
        start_new_session=True,
    )
    os.close(inside)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)
