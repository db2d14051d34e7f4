"""Durations: `1d 2h 30m 5s`, each part at most once, largest first."""

import re
from datetime import timedelta

_DURATION = re.compile(r"\s*(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+(?:\.\d+)?)\s*s)?\s*")


def parse_duration(text):
    """The timedelta that a text means; ValueError when it means none."""
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        raise ValueError(f"{text!r} is no duration: write parts such as 1d 2h 30m 5s")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration):
    """The two largest parts that are not zero, whole seconds being the smallest: `2h 30m`."""
    left = round(duration.total_seconds())
    if left < 0:
        raise ValueError("a duration is not negative")
    parts = []
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left = divmod(left, seconds)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts[:2]) or "0s"
