"""Reading a source's TOML within bounds: the standard library's parser takes hours over some texts that fit a file."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from buildyard.errors import InvalidRequest

_MOST_DOTS_IN_A_LINE = 1000
"""Keys are written within one line, and time grows with the square of their parts."""
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class TomlError(ValueError):
    """A text is no TOML that can be read: `str` is a clause; line and column count from 1, 0 where none is known."""

    def __init__(self, clause: str, line: int = 0, column: int = 0) -> None:
        super().__init__(clause)
        self.line = line
        self.column = column


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a text.

    Raises:
        TomlError: it is no TOML, nested too deeply, or holds a number that is too large.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS_IN_A_LINE:
            raise TomlError("it is nested too deeply, or has a line with too many dots", number, 1)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _placed(str(error), text) from error
    except RecursionError as error:
        raise TomlError("it is nested too deeply") from error
    except ValueError as error:  # whole numbers of thousands of digits are TOML, but Python does not read them
        raise TomlError("it holds a number that is too large") from error


def read_toml(name: str, text: str) -> dict[str, Any]:
    """Parse a file's text; `name` is what sentences call the file.

    Raises:
        InvalidRequest: it is no TOML, nested too deeply, or holds a number that is too large.
    """
    try:
        return parse_toml(text)
    except TomlError as error:
        at = f":{error.line}:{error.column}" if error.line else ""
        raise InvalidRequest(f"{name}{at}: {error}.", remedy="Correct that line and upload again.") from error


def _placed(message: str, text: str) -> TomlError:
    """The parser's message as a clause and a place."""
    found = _AT.search(message)
    clause = f"it is not TOML: {_AT.sub('', message)}"
    if found is None:
        return TomlError(clause)
    if found[1]:
        return TomlError(clause, int(found[1]), int(found[2]))
    before, _, last = text.replace("\r\n", "\n").rpartition("\n")
    return TomlError(f"{clause} at its end", before.count("\n") + (2 if "\n" in text else 1), len(last) + 1)
