"""Which pilot test shows which command: `@covers("look.filter")` on a test; a test fails for commands without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tui.commands import BY_ID

Test = TypeVar("Test", bound=Callable[..., Any])


def covers(*command_ids: str) -> Callable[[Test], Test]:
    """Say which commands a test presses the keys of, or runs by their names."""
    unknown = [one for one in command_ids if one not in BY_ID]
    assert not unknown, f"no such commands: {unknown}"

    def marked(test: Test) -> Test:
        test.covers = command_ids  # type: ignore[attr-defined]
        return test

    return marked
