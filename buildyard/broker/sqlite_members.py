"""Who consumes from a broker file: how a sleeping process is woken, and how a dead one is told from a living one.

A member is a process that consumes (to be exact, one opened broker). It holds an exclusive `flock` on a file of its
own beside the broker file: the kernel lets go of it however the process ends, so whoever can lock the file knows
that its owner is dead. It is woken by one datagram on a UNIX socket, whose folder is short (socket paths end at
about 100 characters), private, and known to others from the broker file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Self

_LONGEST_FOLDER = 70
_DATAGRAM_BYTES = 512
_FULL_QUEUE = 10
"""From so many datagrams at once on, some may have been refused: Linux queues at least this many."""


class Member:
    """This process among those that consume from a file.

    Args:
        locks: the folder of lock files beside the broker file.

    Raises:
        OSError: the lock file or the socket cannot be made.
    """

    def __init__(self, locks: Path) -> None:
        self.id = secrets.token_hex(8)
        self._lock_path = locks / self.id
        locks.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self._lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.socket, self.address = _listen()
        except BaseException:
            self._unlock()
            raise

    @property
    def reachable(self) -> bool:
        """Whether the socket is still where others look for it (cleaners of temporary folders may disagree)."""
        return Path(self.address).exists()

    def listen_anew(self) -> None:
        """Make a new socket in a new place."""
        old = self.socket
        self.socket, self.address = _listen()
        old.close()

    def heard(self) -> set[str] | None:
        """Read what came: the channels that have something new, or None when it may be all of them."""
        channels: set[str] = set()
        read = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                channels.add(self.socket.recv(_DATAGRAM_BYTES).decode())
                read += 1
        return channels if read < _FULL_QUEUE else None

    def leave(self) -> None:
        """Give the socket and the lock back."""
        self.socket.close()
        _remove_address(self.address)
        self._unlock()

    def _unlock(self) -> None:
        self._lock_path.unlink(missing_ok=True)
        os.close(self._lock)


class Grave:
    """The lock of a dead member: while it is held, no other survivor cleans up after the same one.

    `dead` is False when the member lives, or when somebody else is at it.
    """

    def __init__(self, locks: Path, member: str, address: str) -> None:
        self._path = locks / member
        self._address = address
        self._lock: int | None = None
        self.dead = False
        try:
            self._lock = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            self.dead = True
        except OSError:
            return
        else:
            self.dead = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def remove_traces(self) -> None:
        """Remove what the dead member left behind outside the broker file."""
        _remove_address(self._address)
        self._path.unlink(missing_ok=True)


def wake(address: str, channel: str) -> None:
    """Tell one member that a channel has something new; never waits.

    A socket of its own for each datagram: the kernel charges unread datagrams to their sender's socket, so that one
    suspended receiver would otherwise use up the room for all others.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0)
        try:
            sender.sendto(channel.encode(), address)
        except ConnectionRefusedError:
            _remove_address(address)
        except OSError:
            return  # full (it will look anyway) or gone (its messages go back when its lock is found free)


def _listen() -> tuple[socket.socket, str]:
    folder = Path(tempfile.mkdtemp(prefix="buildyard-", dir=_runtime_folder()))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        listener.settimeout(0)
        address = str(folder / "wake")
        listener.bind(address)
    except BaseException:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return listener, address


def _runtime_folder() -> str:
    """A short folder that we may write to; the private one is made below it."""
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if folder and len(folder) <= _LONGEST_FOLDER and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return "/tmp"  # noqa: S108 # only as the parent of a private folder with an unguessable name


def _remove_address(address: str) -> None:
    """Remove a socket and its folder, but only a socket of our own making, whatever the broker file says."""
    path = Path(address)
    with contextlib.suppress(OSError):
        if path.name == "wake" and path.parent.name.startswith("buildyard-") and path.is_socket():
            path.unlink()
            path.parent.rmdir()
