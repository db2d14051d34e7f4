"""When a platform takes a worker's place away, and what may still be begun before that."""

from __future__ import annotations

from datetime import datetime, timedelta

from buildyard.contracts.wire import rfc3339
from buildyard.settings import Settings

MARGIN_SECONDS = 60.0
"""Two clocks may differ by so much, and a job's end must still be told."""


def seconds_to_claim(settings: Settings, now: datetime) -> float | None:
    """For how many seconds jobs may still be claimed; 0 or less: no longer. None: this worker's place is no lent one.

    A job claimed in that time ends before the place goes, even if it takes the farm's longest build time.
    """
    if settings.ends_at is None:
        return None
    longest = timedelta(minutes=settings.max_build_minutes, seconds=MARGIN_SECONDS)
    return (settings.ends_at - longest - now).total_seconds()


def why_no_more(settings: Settings) -> str:
    """Why such a worker leaves, in a sentence."""
    assert settings.ends_at is not None
    ends_at, minutes = rfc3339(settings.ends_at), settings.max_build_minutes
    return f"Its place goes at {ends_at}: a job of {minutes:g} minutes would not end before."
