"""What a user can ask a farm to do from the dashboard, and what came of it, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from buildyard.errors import (
    BuildyardError,
    Conflict,
    Forbidden,
    NotFound,
    ProducerUnavailable,
    TemporaryError,
    Unauthorized,
)
from tui.state import Ref

Verb = Literal[
    "cancel", "retry", "retry_failed", "reprioritise", "drain", "undrain", "pause", "resume", "requeue", "drop"
]
Outcome = Literal["Done", "Refused", "Unknown"]


@dataclass(frozen=True, slots=True)
class Order:
    """One thing to do to one thing. Sent again with the same `key`, it is not done again."""

    verb: Verb
    ref: Ref
    key: str
    """1 to 255 printable ASCII characters."""
    reason: str = ""
    priority: str = ""
    """The API's word, for `reprioritise`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order: a sentence, and the thing that it made where it made one."""

    sentence: str
    made: Ref | None = None


def outcome_of(error: BuildyardError) -> tuple[Outcome, str]:
    """Why an order was not carried out, in words, and whether that is certain.

    A server that cannot be reached may have done what it was asked before it fell silent: nobody knows.
    """
    said = " ".join(part for part in (str(error), error.remedy) if part)
    if isinstance(error, ProducerUnavailable):
        again = "Enter asks again; what was done already is not done twice."
        return "Unknown", f"Nobody knows whether it was done: {error} {again}"
    if isinstance(error, TemporaryError):
        return "Unknown", f"Not done for now: {said} Enter asks again."
    why = next((words for kind, words in _REFUSALS.items() if isinstance(error, kind)), "")
    return "Refused", f"{why}{said}"


_REFUSALS: Mapping[type[BuildyardError], str] = {
    Forbidden: "You may not do this: ",
    Unauthorized: "The producer does not know you: ",
    Conflict: "It changed since it was shown: ",
    NotFound: "It is not there any more: ",
}
