"""`buildyard tui`: hands over to the dashboard, which is a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def become(arguments: Sequence[str], environment: Mapping[str, str | None]) -> NoReturn:
    """Replace this process by `python -P -m tui`, so that the terminal and its signals are the dashboard's alone.

    Args:
        arguments: its options.
        environment: settings that the command line gave; None leaves a variable as it is. Secrets go this way, since
            every user of a machine can read the arguments of all processes.
    """
    given = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-P", "-m", "tui", *arguments]  # -P: not a folder `tui` that happens to lie here
    os.execve(sys.executable, command, {**os.environ, **given})  # noqa: S606 - no shell is wanted
