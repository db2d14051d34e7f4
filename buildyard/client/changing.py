"""What people change while builds wait, and all of a build's files or rows at once: typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

from buildyard.client.multipart import Progress
from buildyard.client.saving import saved
from buildyard.client.transport import QUIET_STREAM_SECONDS, Answer, Transport
from buildyard.contracts.annotations import Annotation, AnnotationList, AnnotationRequest
from buildyard.contracts.api import BuildStatus, PoolView
from buildyard.contracts.builds import Priority
from buildyard.contracts.changing import PauseRequest, PoolEventList, PriorityRequest

_ROWS_QUIET_SECONDS = 120.0


class Changing:
    """The part of a client that changes what waits."""

    _http: Transport

    async def pause_pool(self, pool: str, reason: str = "") -> PoolView:
        """Let a pool hand out nothing more; again is fine. Raises NotFound."""
        return await self._set_intake(pool, "pause", reason)

    async def resume_pool(self, pool: str, reason: str = "") -> PoolView:
        """Let a pool hand out what waits; again is fine. Raises NotFound."""
        return await self._set_intake(pool, "resume", reason)

    async def pool_events(self, pool: str) -> PoolEventList:
        """When and why a pool was paused and resumed, newest first. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/pools/{part_of_path(pool)}/events", PoolEventList)

    async def set_priority(self, build_id: str, priority: Priority) -> BuildStatus:
        """Let a build go before or after others.

        Raises:
            NotFound: there is no such build.
            Conflict: it has ended.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/priority"
        return await self._http.value("POST", path, BuildStatus, body=PriorityRequest(priority=priority))

    async def annotate(self, build_id: str, request: AnnotationRequest) -> Annotation:
        """Pin words to a build, in place of those of the same context.

        Raises:
            NotFound: there is no such build.
            Conflict: it has as many annotations as it takes.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/annotations"
        return await self._http.value("POST", path, Annotation, body=request)

    async def annotations(self, build_id: str) -> AnnotationList:
        """What is pinned to a build, by context. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/builds/{part_of_path(build_id)}/annotations", AnnotationList)

    async def bundle(self, build_id: str, target: Path, on_progress: Progress | None = None) -> None:
        """Bring all artifacts of a build to the file `target`, a zip with `SHA256SUMS` inside.

        Raises:
            NotFound: there is no such build, or a file is gone.
            TemporaryError: the connection broke; nothing is left of what came.
            InvalidRequest: `target` cannot be written.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/artifacts.zip"

        async def told(answer: Answer) -> AsyncGenerator[bytes]:
            done = 0
            async for chunk in answer.chunks():
                yield chunk
                done += len(chunk)
                if on_progress:
                    on_progress(done, None)

        async with (
            self._http.open("GET", path, quiet_seconds=QUIET_STREAM_SECONDS) as answer,
            aclosing(told(answer)) as pieces,
        ):
            await saved(pieces, target)

    async def row_results(self, build_id: str, *, form: str, failed_only: bool = False) -> AsyncGenerator[bytes]:
        """All row results of a batch as one file, `csv` or `jsonl`, in pieces of any length. Raises NotFound."""
        path = f"/api/v1/builds/{part_of_path(build_id)}/rows"
        params = {"format": form, "failed": failed_only or None}
        async with self._http.open("GET", path, params=params, quiet_seconds=_ROWS_QUIET_SECONDS) as answer:
            async for chunk in answer.chunks():
                yield chunk

    async def _set_intake(self, pool: str, verb: str, reason: str) -> PoolView:
        path = f"/api/v1/pools/{part_of_path(pool)}/{verb}"
        return await self._http.value("POST", path, PoolView, body=PauseRequest(reason=reason))


def part_of_path(text: str) -> str:
    """Text as one part of a path, whatever it holds; `.` and `..` too, which clients else would resolve."""
    return quote(text, safe="").replace(".", "%2E")


def once(key: str) -> Mapping[str, str]:
    """The header that makes a request safe to send again: the same key gets the same answer."""
    return {"Idempotency-Key": key} if key else {}
