"""Turning what a child process writes into lines that are safe to show: pure, bounded, for hostile output too."""

from __future__ import annotations

import re

MAX_LINE_BYTES = 16 * 1024
"""A line of a log is at most so long, in UTF-8, its cut mark included."""

_SUSPECT = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_COLOUR = re.compile("\x1b\\[[0-9;:]{0,64}m")
_STRING_SEQUENCE = re.compile("(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c|$)")
_SEQUENCE = re.compile("(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def clean_line(raw: bytes, dropped: int = 0) -> str:
    """One line as text: no control codes save colours (SGR) and tabs, no NUL, at most MAX_LINE_BYTES.

    A carriage return starts the line over, as on a terminal, so of a progress display its last state stays.
    Invalid UTF-8 is replaced. `dropped` counts bytes of the line that were never kept; they are in the cut mark.
    """
    text = raw.rstrip(b"\r").decode("utf-8", "replace")
    if _SUSPECT.search(text):
        text = _without_controls(text)
    return _bounded(text, dropped)


def without_colours(text: str) -> str:
    """A cleaned line with its colours removed, for counting and comparing."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def _without_controls(text: str) -> str:
    if "\r" in text:
        text = next((part for part in reversed(text.split("\r")) if part), "")
    text = _STRING_SEQUENCE.sub("", text)
    text = _SEQUENCE.sub(lambda found: found[0] if _COLOUR.fullmatch(found[0]) else "", text)
    pieces = _COLOUR.split(text)
    colours = [*_COLOUR.findall(text), ""]
    return "".join(_plain(piece) + colour for piece, colour in zip(pieces, colours, strict=True))


def _plain(text: str) -> str:
    return _CONTROL.sub("", text.replace("\u2028", " ").replace("\u2029", " "))


def _bounded(text: str, dropped: int) -> str:
    if len(text) * 4 <= MAX_LINE_BYTES and not dropped:
        return text
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_LINE_BYTES and not dropped:
        return text
    kept = encoded[: MAX_LINE_BYTES - 64].decode("utf-8", "ignore")
    kept = re.sub("\x1b[^m]*$", "", kept)
    lost = dropped + len(encoded) - len(kept.encode())
    return f"{kept} … [{lost} bytes cut]"


class LineSplitter:
    """Cuts a stream of bytes into lines and holds at most MAX_LINE_BYTES of one that does not end."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """The lines that `data` completes, without their line feed, each with its number of dropped bytes."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._hold(part)
            lines.append(self._take())
        self._hold(rest)
        return lines

    def finish(self) -> list[tuple[bytes, int]]:
        """The last line, when the stream ended without a line feed."""
        return [self._take()] if self._held or self._dropped else []

    def _take(self) -> tuple[bytes, int]:
        line = bytes(self._held), self._dropped
        self._held.clear()
        self._dropped = 0
        return line

    def _hold(self, part: bytes) -> None:
        if len(self._held) + len(part) > self._limit:
            part = self._after_last_return(part)
        room = self._limit - len(self._held)
        self._held += part[:room]
        self._dropped += max(0, len(part) - room)

    def _after_last_return(self, part: bytes) -> bytes:
        """What a long progress display left standing: the text before its last carriage return is overwritten."""
        line = bytes(self._held) + part
        start = line.rstrip(b"\r").rfind(b"\r") + 1
        if not start:
            return part
        self._held.clear()
        self._dropped = 0
        return line[start:]
