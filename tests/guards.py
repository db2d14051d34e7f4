"""What a guard is worth: a check that finds nothing, and something once the guard is taken out.

A check tells what is broken as sentences. One that says nothing although its guard is gone proves nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

Break = Callable[[pytest.MonkeyPatch], None]


async def holds_only_with(
    guard_out: Break, check: Callable[[], Awaitable[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check finds nothing, and something once the guard is gone; each time it begins with things of its own."""
    broken = await check()
    assert not broken, broken
    with monkeypatch.context() as patch:
        guard_out(patch)
        assert await check(), "the check cannot see what the guard is for"
