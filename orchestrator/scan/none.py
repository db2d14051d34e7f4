"""No scanning: for farms that build only what their own people wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator


class NoScan:
    """Finds nothing, without looking."""

    instant = True

    async def scan(self, chunks: AsyncIterator[bytes]) -> str | None:  # noqa: ARG002 - the port's shape
        """Nothing was found."""
        return None
