"""Verbs that hand over to a process of ours: `buildyard tui` to the dashboard, those about decisions to the scaler."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def become(arguments: Sequence[str], environment: Mapping[str, str | None], module: str = "tui") -> NoReturn:
    """Replace this process by `python -P -m tui`, so that the terminal and its signals are the dashboard's alone.

    Args:
        arguments: its options.
        environment: settings that the command line gave; None leaves a variable as it is. Secrets go this way, since
            every user of a machine can read the arguments of all processes.
        module: the process to become, if it is not the dashboard.
    """
    given = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-P", "-m", module, *arguments]  # -P: not a folder `tui` that happens to lie here
    os.execve(sys.executable, command, {**os.environ, **given})  # noqa: S606 - no shell is wanted
