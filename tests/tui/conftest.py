"""Tests of what is drawn may be tried again: Textual settles by timers of its own, and under load a look can be early.

A pilot can wait until messages are handled, not until the last refresh that they lead to was painted. What is wrong
stays wrong: a test that fails three times fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

DRAWN = tuple(Path(__file__).parent / name for name in ("app", "screens", "widgets"))
TRIES_AGAIN = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests below DRAWN."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in DRAWN):
            item.add_marker(pytest.mark.flaky(reruns=TRIES_AGAIN))
