"""A line's level is read from its words."""

from __future__ import annotations

import time

import pytest

from tui.widgets.log_levels import Level, level_of


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Program.cs(3,1): error CS1002: ; expected", Level.ERROR),
        ("[ERROR] no such thing", Level.ERROR),
        ("ERROR: failed to fetch", Level.ERROR),
        ("npm ERR! code 1", Level.ERROR),
        ("Traceback (most recent call last):", Level.ERROR),
        ("System.NullReferenceException: Object reference", Level.ERROR),
        ("FAILED tests/test_a.py::test_b", Level.ERROR),
        ("E       assert 1 == 2", Level.ERROR),
        ("    1 Error(s)", Level.ERROR),
        ("    0 Error(s)", Level.INFO),
        ("Failed: 0, Passed: 12", Level.INFO),
        ("errors=0 failed=0", Level.INFO),
        ("no error", Level.INFO),
        ("compiling src/error.rs", Level.INFO),
        ("error-free", Level.INFO),
        ("warning CS0168: never used", Level.WARNING),
        ("warn: slow", Level.WARNING),
        ("    0 Warning(s)", Level.INFO),
        ("dbug: Microsoft.Hosting", Level.DEBUG),
        ("DEBUG connecting", Level.DEBUG),
        ("Build succeeded.", Level.INFO),
        ("", Level.INFO),
        ("x" * 1000 + " error", Level.INFO),
    ],
)
def test_a_line_has_the_level_that_a_reader_would_give_it(text: str, level: Level) -> None:
    assert level_of(text) is level


@pytest.mark.parametrize("text", ["exception" * 40, "w" * 400 + "exception", "error " + " " * 390, "0 error" * 60])
def test_no_line_makes_reading_slow(text: str) -> None:
    began = time.process_time()
    for _ in range(100):
        level_of(text)
    assert time.process_time() - began < 2
