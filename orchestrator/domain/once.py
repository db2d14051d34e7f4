"""Requests that may come twice: what a second one with the same key gets. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from buildyard.errors import Conflict, InvalidRequest

KEY_KEPT = timedelta(hours=24)
"""How long a key and its answer are kept."""
HELD = timedelta(seconds=60)
"""A request that did not answer in this time is taken for dead, and the next one with its key runs in its place."""


@dataclass(frozen=True)
class KeptAnswer:
    """An answer to be given again, word by word."""

    status: int
    body: str
    location: str


@dataclass(frozen=True)
class KeyRecord:
    """A key as the store keeps it. `build_id` is what a new build of this request is or was called."""

    fingerprint: str
    build_id: str
    held_until: datetime
    answer: KeptAnswer | None


def earlier_answer(known: KeyRecord, fingerprint: str, now: datetime) -> KeptAnswer | None:
    """What the request that came first was answered; None when nobody works on it any more, and it is to be run anew.

    Raises:
        InvalidRequest: the key came with another request.
        Conflict: (code `in_progress`) the first request is still worked on.
    """
    if known.fingerprint != fingerprint:
        error = InvalidRequest(
            "This Idempotency-Key was used for another request.",
            remedy="Send a new key with every new request.",
            field="Idempotency-Key",
        )
        error.code = "key_reused"
        raise error
    if known.answer is None and known.held_until > now:
        busy = Conflict("The request with this Idempotency-Key is still worked on.", remedy="Ask again in a second.")
        busy.code = "in_progress"
        raise busy
    return known.answer
