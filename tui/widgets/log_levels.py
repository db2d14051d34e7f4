"""How grave a log line is, read from its words: build tools write no levels, but they write "error" and "warning"."""

from __future__ import annotations

import re
from enum import IntEnum

_LOOKED_AT = 400
"""Characters of a line that are read: a word far to the right says little, and lines may be long."""


class Level(IntEnum):
    """From least to most grave."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The word that is shown and typed."""
        return self.name.lower()


# A count of nothing ("0 Error(s)", "failed=0", "Failed: 0") is good news. Each pattern is one pass without nesting.
_ERROR = re.compile(
    r"(?<![\w.-])(?<!\b0 )(?<!\bno )(?:error|fatal|critical|panic|traceback|failed|failure|fail|err!)"
    r"(?![\w-]|\.\w)(?!\s*[:=]\s*0\b)"
    r"|\b\w*exception:|unhandled exception|^e   \s"
)
_WARNING = re.compile(r"(?<![\w.-])(?<!\b0 )(?<!\bno )(?:warning|warn)(?![\w-]|\.\w)(?!\s*[:=]\s*0\b)")
_DEBUG = re.compile(r"(?<![\w.-])(?:debug|trace|dbug|trce|verbose)(?![\w-]|\.\w)")


def level_of(text: str) -> Level:
    """The level of one line; a line that says nothing of the kind is INFO."""
    words = (text[:_LOOKED_AT] if len(text) > _LOOKED_AT else text).lower()
    # What most lines do not hold is looked for first: a search of the pattern costs twenty times as much.
    if (
        "err" in words
        or "fail" in words
        or "fatal" in words
        or "exception" in words
        or "critical" in words
        or "panic" in words
        or "traceback" in words
        or words.startswith("e   ")
    ) and _ERROR.search(words):
        return Level.ERROR
    if "warn" in words and _WARNING.search(words):
        return Level.WARNING
    if ("debug" in words or "trace" in words or "verbose" in words or "dbug" in words or "trce" in words) and (
        _DEBUG.search(words)
    ):
        return Level.DEBUG
    return Level.INFO
