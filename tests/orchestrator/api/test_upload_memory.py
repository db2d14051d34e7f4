"""A large upload passes through a real producer without staying in its memory."""

from __future__ import annotations

import sys

import pytest

from bench.upload_memory import MOST_GROWTH_MB, measured_uploads


@pytest.mark.journey
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from /proc")
async def test_an_upload_of_512_mb_takes_less_than_50_mb_of_memory() -> None:
    [measured] = await measured_uploads(512, rounds=1)

    assert measured.growth_mb < MOST_GROWTH_MB
