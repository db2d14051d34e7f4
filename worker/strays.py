"""Finding the processes that a child left behind, from what Linux tells in /proc; elsewhere there is nothing to see."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class _Seen:
    pid: int
    state: str
    parent: int
    group: int
    session: int
    marked: bool


def find_strays(marker: bytes, root: int, children: frozenset[int], *, adopting: bool) -> set[int]:
    """The living processes that belong to the child `root`, itself left out.

    They carry `marker` in their environment, are of its session or process group, descend from such a process, or,
    when `adopting`, were orphaned and came to us although we started no such child. Zombies that came to us are
    reaped on the way.
    """
    own = os.getpid()
    seen = {process.pid: process for process in _processes(marker) if process.pid != own}
    found = {
        process.pid
        for process in seen.values()
        if process.marked or root in (process.session, process.group, process.parent)
    }
    if adopting:
        found |= {process.pid for process in seen.values() if process.parent == own and process.pid not in children}
    found |= _descendants(found, seen)
    found -= {root} | (children - {root})
    zombies = {pid for pid in found if seen[pid].state == "Z"}
    for pid in zombies:
        _reap(pid)
    return found - zombies


def _descendants(ancestors: set[int], seen: dict[int, _Seen]) -> set[int]:
    by_parent: dict[int, list[int]] = {}
    for process in seen.values():
        by_parent.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = list(ancestors)
    while waiting:
        for pid in by_parent.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def _processes(marker: bytes) -> list[_Seen]:
    try:
        names = [folder.name for folder in _PROC.iterdir() if folder.name.isdigit()]
    except OSError:
        return []
    return [process for name in names if (process := _look(name, marker)) is not None]


def _look(name: str, marker: bytes) -> _Seen | None:
    try:
        # The command's name, in parentheses, may itself hold spaces and parentheses.
        fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, group, session = fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3])
    environment = b""
    with suppress(OSError):
        environment = (_PROC / name / "environ").read_bytes()
    marked = marker in environment.split(b"\0")
    return _Seen(int(name), state, parent, group, session, marked)


def _reap(pid: int) -> None:
    if hasattr(os, "WNOHANG"):
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
