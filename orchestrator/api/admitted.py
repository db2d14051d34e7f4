"""The dependency of every request for new work: it goes through the gate."""

from __future__ import annotations

from fastapi import Depends, Request

from orchestrator.api.parts import Parts

_LONGEST_NUMBER = len(str(2**63))


async def _admitted(request: Request, parts: Parts) -> None:
    announced = request.headers.get("content-length", "")
    host = request.client.host if request.client else "unknown"
    told = int(announced) if announced.isdigit() and len(announced) < _LONGEST_NUMBER else 0
    coming = min(told, parts.settings.upload_max_bytes)  # what is over the limit is refused for that
    await parts.gate.pass_or_raise(f"{parts.requester} {host}", coming)


ADMITTED = [Depends(_admitted)]
