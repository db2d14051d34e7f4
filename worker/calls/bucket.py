"""A token bucket as a value: how long the next call has to wait; pure.

The usual algorithm with reservations: a bucket holds at most `burst` tokens, gains `rate` of them a second, and each
call takes one. Who finds none takes one in advance and waits until it would be there, so callers are served in order.
In any span of t seconds at most burst + rate * t calls begin.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bucket:
    """`tokens` at the moment `at` (seconds); below zero they are promised to calls that wait."""

    rate: float
    burst: float
    tokens: float
    at: float


def full_bucket(rate: float, burst: float, now: float) -> Bucket:
    """A bucket nobody took from yet; `rate` in tokens a second."""
    return Bucket(rate, burst, burst, now)


def reserve(bucket: Bucket, now: float) -> tuple[Bucket, float]:
    """Take one token; the bucket after it, and the seconds to wait before the call may begin."""
    passed = max(0.0, now - bucket.at)
    tokens = min(bucket.burst, bucket.tokens + passed * bucket.rate) - 1
    return Bucket(bucket.rate, bucket.burst, tokens, max(now, bucket.at)), max(0.0, -tokens / bucket.rate)
