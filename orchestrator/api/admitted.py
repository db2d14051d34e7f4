"""The dependency of every request for new work: it goes through the gate."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from fastapi import Depends, Request

from orchestrator.api.parts import Parts

_LONGEST_NUMBER = len(str(2**63))


async def _admitted(request: Request, parts: Parts) -> AsyncGenerator[None]:
    host = request.client.host if request.client else "unknown"
    coming = _coming_bytes(request, parts.settings.upload_max_bytes)
    async with parts.gate.passed(f"{parts.requester} {host}", coming):
        yield


def _coming_bytes(request: Request, most: int) -> int | None:
    """The bytes of an upload as announced; 0 when nothing is, None when the request brings no upload."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/"):
        return None
    announced = request.headers.get("content-length", "")
    told = int(announced) if announced.isdigit() and len(announced) < _LONGEST_NUMBER else 0
    return min(told, most)  # what is over the limit is refused for that


ADMITTED = [Depends(_admitted)]
