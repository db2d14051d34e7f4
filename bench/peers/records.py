"""What handlers leave behind: one line of two numbers for each message, when it was sent and when it was entered."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

from bench.peers.wishes import RECORDS

SHAPE = struct.Struct("qq")
_FILE = os.open(RECORDS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def entered(sent: int) -> None:
    """Note that a handler was entered; `sent` is when its message was sent, in nanoseconds of the monotonic clock."""
    os.write(_FILE, SHAPE.pack(sent, time.monotonic_ns()))


def read(file: Path) -> list[tuple[int, int]]:
    """All pairs of a file, in order of entry."""
    return list(SHAPE.iter_unpack(file.read_bytes()))
