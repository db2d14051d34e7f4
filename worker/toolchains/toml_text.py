"""Reading a source's TOML within bounds: the standard library's parser takes hours over some texts that fit a file."""

from __future__ import annotations

import tomllib
from typing import Any

from buildyard.errors import InvalidRequest

_MOST_DOTS_IN_A_LINE = 1000
"""Keys are written within one line, and time grows with the square of their parts."""


def read_toml(name: str, text: str) -> dict[str, Any]:
    """Parse a file's text; `name` is what sentences call the file.

    Raises:
        InvalidRequest: it is no TOML, nested too deeply, or holds a number that is too large.
    """
    if any(line.count(".") > _MOST_DOTS_IN_A_LINE for line in text.split("\n")):
        raise InvalidRequest(f"{name} is nested too deeply, or has a line with too many dots.")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{name} is not TOML: {error}.", remedy="Correct that line and upload again.") from error
    except RecursionError as error:
        raise InvalidRequest(f"{name} is nested too deeply.") from error
    except ValueError as error:  # whole numbers of thousands of digits are TOML, but Python does not read them
        raise InvalidRequest(f"{name} holds a number that is too large.") from error
