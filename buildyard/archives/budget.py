"""How much one archive may cost, and the meter that stops it before it costs more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from buildyard.archives.refusals import refused
from buildyard.errors import HostileArchive, TemporaryError

MIB = 1024 * 1024
GIB = 1024 * MIB

_METADATA_BYTES_PER_ENTRY = 4096  # a tar header, padding and a PAX header of usual size


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for one archive; what is beyond any of them is refused.

    `max_entries` counts entries and the folders they imply; `max_bytes` and `max_entry_bytes` count unpacked bytes
    of files; `max_ratio` is unpacked bytes of all files to the archive's bytes, judged once more than
    `ratio_free_bytes` were unpacked (a small archive of zeros is no danger). `max_path_bytes` is UTF-8 bytes of one
    entry's path, `max_depth` the number of its components.
    """

    max_entries: int = 100_000
    max_bytes: int = 10 * GIB
    max_entry_bytes: int = 4 * GIB
    max_ratio: int = 200
    ratio_free_bytes: int = 100 * MIB
    max_path_bytes: int = 1024
    max_depth: int = 64


class Meter:
    """Counts what one extraction has used; every method raises HostileArchive at the limit."""

    def __init__(self, budget: Budget, packed_bytes: int, should_stop: Callable[[], bool] | None = None) -> None:
        self._budget = budget
        self._packed = packed_bytes
        self._should_stop = should_stop
        self._entries = 0
        self._bytes = 0
        self._metadata = 0

    def checkpoint(self) -> None:
        """Raise TemporaryError where the caller wants to stop."""
        if self._should_stop is not None and self._should_stop():
            raise TemporaryError("Unpacking was stopped before its end, as asked.")

    def count_entries(self, number: int = 1) -> None:
        """Count entries, or folders that an entry implies."""
        self.checkpoint()
        self._entries += number
        self.foresee_entries(self._entries)

    def foresee_entries(self, number: int) -> None:
        """Judge a number of entries that the archive announces."""
        if number > self._budget.max_entries:
            raise HostileArchive(
                f"The archive was refused: it has more than {self._budget.max_entries:,} entries.",
                remedy="Leave out generated folders such as node_modules, bin, obj or .venv.",
            )

    def foresee_entry(self, name: str, size: int) -> None:
        """Judge the size that one entry announces."""
        if size > self._budget.max_entry_bytes:
            raise refused(name, f"is larger than {self._budget.max_entry_bytes:,} bytes")

    def count_bytes(self, number: int) -> None:
        """Count unpacked bytes of files."""
        self.checkpoint()
        self._bytes += number
        self.foresee_bytes(self._bytes)

    def foresee_bytes(self, total: int) -> None:
        """Judge a sum of unpacked bytes that the archive announces or has reached."""
        if total > self._budget.max_bytes:
            raise HostileArchive(
                f"The archive was refused: it unpacks to more than {self._budget.max_bytes:,} bytes.",
                remedy="Send less, or ask for a higher limit.",
            )
        if total > self._budget.ratio_free_bytes and total > self._budget.max_ratio * self._packed:
            raise HostileArchive(
                f"The archive was refused: it unpacks to more than {self._budget.max_ratio} times its size,"
                " as only archives do that are made to fill a disk."
            )

    def count_metadata(self, number: int) -> None:
        """Count bytes of a tar that are no file's: headers, padding, what follows the end mark."""
        self._metadata += number
        if self._metadata > MIB + _METADATA_BYTES_PER_ENTRY * self._budget.max_entries:
            raise HostileArchive("The archive was refused: its headers alone are larger than is allowed.")
