"""Headers of downloads and streams: what a finished build's artifact, log and events answer to odd ones."""

from __future__ import annotations

from tests.bad_input.raw_http import make_zip

CONTENT = b"0123456789"
PROJECT = make_zip({"Makefile": b"all:\n\tmkdir -p dist\n\tprintf 0123456789 > dist/digits.txt\n"})

RANGES: dict[str, tuple[int, bytes]] = {
    "bytes=0-0": (206, b"0"),
    "bytes=2-4": (206, b"234"),
    "bytes=-3": (206, b"789"),
    "bytes=-99": (206, CONTENT),
    "bytes=8-": (206, b"89"),
    "bytes=0-999999999999999999": (206, CONTENT),
    "bytes= 1 - 2 ": (206, b"12"),
    "bytes=10-": (416, b""),
    "bytes=10-20": (416, b""),
    "bytes=999999999999999999-": (416, b""),
    "bytes=-0": (416, b""),
    "": (200, CONTENT),
    "bytes": (200, CONTENT),
    "bytes=": (200, CONTENT),
    "bytes=-": (200, CONTENT),
    "bytes=5-2": (200, CONTENT),
    "bytes=a-b": (200, CONTENT),
    "bytes=0x1-0x2": (200, CONTENT),
    "bytes=1.5-2": (200, CONTENT),
    "bytes=--1": (200, CONTENT),
    "bytes=+1-2": (200, CONTENT),
    "bytes=0-1,3-4": (200, CONTENT),
    "bytes=" + ",".join(["0-"] * 1000): (200, CONTENT),
    "bytes=" + "9" * 5000 + "-": (200, CONTENT),
    "bytes=\u00b2-\u00b3": (200, CONTENT),
    "lines=1-2": (200, CONTENT),
    "BYTES=1-2": (200, CONTENT),
    "bytes=1-2;x": (200, CONTENT),
}
"""A Range header -> status and bytes; RFC 9110 says of one that cannot be read: send the whole."""

TAGS: dict[str, int] = {
    "*": 304,
    "{tag}": 304,
    "W/{tag}": 304,
    '"x", {tag}': 304,
    "": 200,
    '"': 200,
    ",,,,": 200,
    '"' + "a" * 64 + '"': 200,
    "{tag": 200,
    "W/": 200,
    "a" * 5000: 200,
    '"\u00e4"': 200,
    "' OR 1=1": 200,
}
"""An If-None-Match header -> status; `{tag}` stands for the artifact's own."""

LAST_EVENT_IDS = ("", "x", "-1", "1.5", "0", "1e3", "\u00b2", "9" * 9, "9" * 30, "9" * 5000, "' OR 1=1", "0x1", "+1")
"""A Last-Event-ID that is none begins from the start; one beyond the last event has nothing to come."""
BEYOND_THE_LAST = frozenset({"9" * 9})
