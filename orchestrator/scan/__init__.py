"""Scanning: who looks at an upload before anything is done with it, chosen by URL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol
from urllib.parse import urlsplit

from buildyard.errors import InvalidSettings
from orchestrator.scan.clamav import ClamAv
from orchestrator.scan.none import NoScan

__all__ = ["Scanner", "open_scanner"]

_REMEDY = "Use `none:` or `clamav://HOST:3310`."


class Scanner(Protocol):
    """Looks at the bytes of an upload."""

    @property
    def instant(self) -> bool:
        """Whether it answers without looking, so that nothing need wait for it."""

    async def scan(self, chunks: AsyncIterator[bytes]) -> str | None:
        """The name of what was found, or None.

        Raises:
            TemporaryError: it could not look at all of it, which never counts as clean.
        """


def open_scanner(url: str) -> Scanner:
    """The scanner of BUILDYARD_SCAN_URL; nothing is connected yet.

    Raises:
        InvalidSettings: the URL names none.
    """
    if url == "none:":
        return NoScan()
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError as error:
        raise InvalidSettings(f"BUILDYARD_SCAN_URL is wrong: {url!r}.", remedy=_REMEDY) from error
    if split.scheme != "clamav" or not split.hostname:
        raise InvalidSettings(f"BUILDYARD_SCAN_URL names no known scanner: {url!r}.", remedy=_REMEDY)
    return ClamAv(split.hostname, port or 3310)
