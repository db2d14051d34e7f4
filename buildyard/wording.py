"""What pydantic finds wrong, in the words of this program: `it must be 1 or more`."""

from __future__ import annotations

import re

_WORDS = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (r"^Value error, ", ""),
        (r"\bInput should be a valid integer.*", "it must be a whole number"),
        (r"\bInput should be a valid number.*", "it must be a number"),
        (r"\bInput should be greater than or equal to (\S+)$", r"it must be \1 or more"),
        (r"\bInput should be less than or equal to (\S+)$", r"it must be \1 or less"),
        (r"\bInput should be greater than (\S+)$", r"it must be more than \1"),
        (r"\bInput should be less than (\S+)$", r"it must be less than \1"),
        (r"\bInput should be (.*)", r"it must be \1"),
        (r"\bString should match pattern '(.*)'$", r"it has characters or a length that are not allowed: \1"),
        (r"\bString should have at (least|most) (\d+) characters?$", r"it must have at \1 \2 characters"),
        (r"\bExtra inputs are not permitted$", "there is no such thing"),
        (r"\bField required$", "it is missing"),
    )
)


def plain(message: str) -> str:
    """A message of pydantic in plain words; what is none of its own stays as it is."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message
