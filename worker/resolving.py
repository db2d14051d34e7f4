"""The addresses that a host's name stands for, asked once, so that no second answer can differ."""

from __future__ import annotations

import asyncio
import socket


async def addresses_of(host: str, port: int) -> tuple[str, ...]:
    """IP addresses in the system's own order, those it can reach first, each once; `host` may stand in brackets.

    Raises:
        OSError: the name cannot be found.
        UnicodeError: it cannot be a name.
    """
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
