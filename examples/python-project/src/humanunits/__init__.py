"""Reads and writes sizes and durations the way people do."""

from humanunits.durations import format_duration, parse_duration
from humanunits.sizes import format_size, parse_size

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]
