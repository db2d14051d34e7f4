"""Bytes into a file that has its name only once it is whole."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterable
from contextlib import suppress
from pathlib import Path

from buildyard.errors import InvalidRequest

_REMEDIES = {
    errno.ENOSPC: "Free some space, or choose a folder on another disk.",
    errno.EDQUOT: "Free some space, or choose a folder on another disk.",
    errno.EACCES: "Choose a folder that you may write to.",
    errno.EROFS: "Choose a folder that you may write to.",
}


def unwritable(target: Path, error: OSError) -> InvalidRequest:
    """What to say of a file that cannot be written."""
    return InvalidRequest(
        f"{target} cannot be written: {error.strerror or error}.", remedy=_REMEDIES.get(error.errno or 0, "")
    )


async def saved(pieces: AsyncIterable[bytes], target: Path) -> None:
    """Write to a temporary name beside `target`, then rename; whatever goes wrong, nothing is left of it.

    Raises:
        InvalidRequest: `target` cannot be written; whatever `pieces` raises comes through as it is.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        with await asyncio.to_thread(part.open, "wb") as file:
            async for piece in pieces:
                await asyncio.to_thread(file.write, piece)
        await asyncio.to_thread(part.replace, target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        with suppress(OSError):
            await asyncio.to_thread(part.unlink, missing_ok=True)
