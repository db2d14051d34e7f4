"""What the system tells about processes that are not, or not surely, our children.

A process number alone says little: it is given again. So a process is known by its number and the moment it began,
and it is ended through a handle that cannot slip to another process. Linux tells all of this in /proc; elsewhere a
worker is known by its number alone, and what a dead one left running cannot be found.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"
_ROUNDS = 20
_STATE, _STARTED = 0, 19
"""Places of two fields of /proc/PID/stat, counted behind the command's name."""


def began(pid: int) -> str | None:
    """A word that tells this process from every other that had or gets its number; None when none runs.

    A process that has ended, but was not waited for by its parent yet, does not run.
    """
    if sys.platform != "linux":
        return "" if _exists(pid) else None
    fields = _stat(str(pid))
    if fields is None or fields[_STATE] in {b"Z", b"X"}:
        return None
    return f"{_boot()}:{fields[_STARTED].decode()}"


def send(pid: int, identity: str, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False when it runs no more."""
    if sys.platform != "linux":
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False
    return _with_handle(pid, number, lambda: began(pid) == identity)


def find_command(words: tuple[str, ...], environment: bytes) -> int | None:
    """The process that was started with these words in a row and with this entry in its environment."""
    wanted = b"\0".join(word.encode() for word in words) + b"\0"
    for name in _processes():
        with suppress(OSError):
            if wanted in b"\0" + (_PROC / name / "cmdline").read_bytes() and environment in _environment(name):
                return int(name)
    return None


def kill_marked(marker: bytes, folder: Path) -> int:
    """Kill every process that has `marker` in its environment and belongs to `folder`; returns how many.

    Another farm on this machine may give its agents the same names. So a process must also have been started in
    `folder`, or with a path below it in its environment.
    """
    killed = 0
    for _ in range(_ROUNDS):  # what forked while we looked is found in the next round
        found = [name for name in _processes() if _belongs(name, marker, folder)]
        if not found:
            break
        killed += sum(_kill_one(name, marker, folder) for name in found)
    return killed


def _kill_one(name: str, marker: bytes, folder: Path) -> bool:
    return _with_handle(int(name), signal.SIGKILL, lambda: _belongs(name, marker, folder))


def _belongs(name: str, marker: bytes, folder: Path) -> bool:
    try:
        entries = _environment(name)
        if marker not in entries or (fields := _stat(name)) is None or fields[_STATE] in {b"Z", b"X"}:
            return False
        below = os.fsencode(folder)
        if any(value == below or value.startswith(below + b"/") for value in (e.partition(b"=")[2] for e in entries)):
            return True
        return (_PROC / name / "cwd").readlink().is_relative_to(folder)
    except OSError:
        return False


def _with_handle(pid: int, number: signal.Signals, still_right: Callable[[], bool]) -> bool:
    """Signal a process through a handle: between looking and sending its number can go to nobody else."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not still_right():
            return False
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _processes() -> Iterator[str]:
    own = str(os.getpid())
    with suppress(OSError):
        for folder in _PROC.iterdir():
            if folder.name.isdigit() and folder.name != own:
                yield folder.name


def _environment(name: str) -> frozenset[bytes]:
    return frozenset((_PROC / name / "environ").read_bytes().split(b"\0"))


def _stat(name: str) -> list[bytes] | None:
    try:
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        return (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
