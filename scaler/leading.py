"""Which of several scalers decides: one leads, the others stand by and take over when it ends.

It saves work and keeps one record of decisions; it is not what keeps workers from being started twice. Their names do
that: two scalers that both believe that they lead come to the same names, and an executor starts a name once.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Protocol

from buildyard.clock import SystemClock
from buildyard.errors import InvalidSettings
from buildyard.telemetry import logger

TRY_SECONDS = 0.25
"""How often one that stands by tries, and how often the leader looks whether it still is."""
_NAME_BYTES = 1000
_LEASE = re.compile(
    r"lease:(?P<namespace>[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)/(?P<name>[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?)"
)

_log = logger("leading")


class Leadership(Protocol):
    """The right to decide. One process at a time has it, as far as its keeper can tell."""

    @property
    def leads(self) -> bool:
        """Whether this process has it."""

    def leader(self) -> str:
        """Who has it, in words; "" while that is not known."""

    async def won(self) -> None:
        """Wait until this process has it."""

    async def lost(self) -> None:
        """Wait until this process has it no more."""

    def resign(self) -> None:
        """Give it up, so that another one takes over at once."""

    async def aclose(self) -> None:
        """Let go of its keeper, once a resignation is known there."""


class Alone:
    """A scaler beside which there is no other."""

    leads = True

    def leader(self) -> str:
        """This one."""
        return "this scaler"

    async def won(self) -> None:
        """At once."""

    async def lost(self) -> None:
        """Never."""
        await asyncio.Event().wait()

    def resign(self) -> None:
        """There is nobody to take over."""

    async def aclose(self) -> None:
        """There is no keeper."""


class FileLock:
    """Leadership among the scalers of one data folder: a lock on a file in it (flock).

    The system takes the lock back when its process ends, however it ends. A process that is frozen keeps it.

    Args:
        path: the file; it names its holder.
        me: how this process is named there.

    Raises:
        InvalidSettings: its folder cannot be made, or this platform has no such locks.
    """

    def __init__(self, path: Path, me: str) -> None:
        if os.name != "posix":
            raise InvalidSettings(
                "Scalers with a lock file run on Linux and macOS only.",
                remedy="Set BUILDYARD_LEADER_URL to none: and start one scaler only.",
            )
        self._path = path
        self._me = me
        self._held: int | None = None
        self._trouble = ""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidSettings(f"The folder {path.parent} cannot be made: {error.strerror}.") from error

    @property
    def leads(self) -> bool:
        """Whether this process holds the lock."""
        return self._held is not None

    def leader(self) -> str:
        """Who holds the lock, as it named itself."""
        if self.leads:
            return self._me
        if self._trouble:
            return ""
        try:
            with self._path.open("rb") as file:
                return file.read(_NAME_BYTES).decode(errors="replace").strip()
        except OSError:
            return ""

    async def won(self) -> None:
        """Wait until this process holds the lock."""
        while not self._take():  # noqa: ASYNC110 - the system tells nobody that a lock is free
            await asyncio.sleep(TRY_SECONDS)

    async def lost(self) -> None:
        """Wait until somebody has removed or replaced the file: then a lock on it keeps nobody away."""
        while self._held is not None and self._is_ours(self._held):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(TRY_SECONDS)
        self.resign()

    def resign(self) -> None:
        """Let go of the lock."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    async def aclose(self) -> None:
        """The file stays."""

    def _take(self) -> bool:
        import fcntl  # noqa: PLC0415 - only here, since Windows has none

        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            return self._refused(error)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._is_ours(file):
                os.ftruncate(file, 0)
                os.pwrite(file, self._me.encode()[:_NAME_BYTES], 0)
                self._held, self._trouble = file, ""
                return True
        except BlockingIOError:
            self._trouble = ""
        except OSError as error:
            self._refused(error)
        os.close(file)
        return False

    def _is_ours(self, file: int) -> bool:
        """Whether the open file is the one that others find under this path."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except OSError:
            return False

    def _refused(self, error: OSError) -> bool:
        trouble = f"The lock {self._path} cannot be taken: {error.strerror}."
        if trouble != self._trouble:
            _log.warning("nobody can lead", cause=trouble)
        self._trouble = trouble
        return False


def open_leadership(url: str, data_dir: Path, me: str) -> Leadership:
    """The leadership that BUILDYARD_LEADER_URL names.

    Args:
        url: `file:`, `none:` or `lease:NAMESPACE/NAME`.
        data_dir: where the lock file is.
        me: how this process is named to the others.

    Raises:
        InvalidSettings: there is no such kind, or it cannot work here.
    """
    if url == "none:":
        return Alone()
    if url == "file:":
        return FileLock(data_dir / "scaler.lock", me)
    if match := _LEASE.fullmatch(url):
        return _open_lease(match["namespace"], match["name"], me)
    raise InvalidSettings(f"BUILDYARD_LEADER_URL is wrong: {url!r} is none of file:, none: and lease:NAMESPACE/NAME.")


def _open_lease(namespace: str, name: str, me: str) -> Leadership:
    """A Lease of the cluster in whose pod this runs, or of KUBECONFIG's current context."""
    try:
        from scaler.executors.kubernetes_connection import Connection  # noqa: PLC0415 - an extra that few need
        from scaler.leading_lease import LeaseLock  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            f"BUILDYARD_LEADER_URL names a Lease, which needs the Python package {error.name}.",
            remedy="Install it: pip install 'buildyard[kubernetes]'.",
        ) from error
    return LeaseLock(Connection(), namespace, name, me, SystemClock())
