"""Long output page by page: on a terminal, and where PAGER names a program for it. Imports nothing heavy."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

_width: list[int] = []
"""The terminal's width while a pager stands before it."""


def paged_terminal() -> int | None:
    """The width of the terminal that a pager shows this output on; None without a pager."""
    return _width[-1] if _width else None


def pager_of(environment: Mapping[str, str]) -> list[str]:
    """The pager's command line: BUILDYARD_PAGER, else PAGER; none where it is empty, `cat` or cannot be read."""
    text = environment.get("BUILDYARD_PAGER", environment.get("PAGER", ""))
    try:
        words = shlex.split(text)
    except ValueError:
        return []
    return words if words and words != ["cat"] and shutil.which(words[0]) else []


@contextmanager
def pager(*, wanted: bool) -> Iterator[bool]:
    """Send standard output through the pager for the length of the block, and wait until it is closed.

    Gives whether there is one. Leaving it early raises BrokenPipeError at the next write, as for any reader that goes.
    """
    command = pager_of(os.environ) if wanted and sys.stdout.isatty() else []
    if not command:
        yield False
        return
    # As git has it: leave at once when it all fits (F), let colours pass (R), keep the screen (X).
    environment = {"LESS": "FRX", "LV": "-c", **os.environ}
    _width.append(shutil.get_terminal_size().columns)
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None
        sys.stdout.flush()
        terminal = os.dup(sys.stdout.fileno())
        os.dup2(process.stdin.fileno(), sys.stdout.fileno())
        process.stdin.close()
        try:
            yield True
        finally:
            try:
                sys.stdout.flush()
            finally:
                os.dup2(terminal, sys.stdout.fileno())
                os.close(terminal)
                _width.pop()
                _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C is the pager's own affair while it shows something."""
    while process.poll() is None:
        with suppress(KeyboardInterrupt):
            process.wait()
