"""The producer's API as typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel

from buildyard.client.changing import Changing, once, part_of_path
from buildyard.client.download import download
from buildyard.client.farm import FarmWide
from buildyard.client.following import LogEntry, followed_events, followed_log, log_entries, stored_log
from buildyard.client.multipart import Multipart, Progress
from buildyard.client.transport import QUIET_STREAM_SECONDS, Transport
from buildyard.contracts.agents import (
    AgentJoined,
    AgentRegistration,
    AgentView,
    ClaimAnswer,
    ClaimRequest,
    DrainRequest,
)
from buildyard.contracts.api import (
    AgentHealthAnswer,
    AgentList,
    ArtifactList,
    ArtifactView,
    BuildAccepted,
    BuildList,
    BuildRequest,
    BuildStatus,
    CancelAccepted,
    HealthAnswer,
    PoolList,
    RowList,
    UploadStored,
)
from buildyard.contracts.builds import BuildState, ReasonCode
from buildyard.contracts.changing import RetryRequest
from buildyard.contracts.dead import DeadLetterDetail, DeadLetterList, DropRequest, RequeuedList, RequeueRequest
from buildyard.contracts.diagnostics import DiagnosticList
from buildyard.contracts.events import BuildEvent
from buildyard.contracts.testing import TestPage
from buildyard.contracts.wire import rfc3339
from buildyard.errors import ProducerUnavailable

_Shape = TypeVar("_Shape", bound=BaseModel)
_UPLOAD_QUIET_SECONDS = 300.0
"""After its last byte an upload may still be moved between places of an object store."""


class ProducerClient(Changing, FarmWide):
    """Calls to one producer; every method raises `ProducerUnavailable` when it cannot be reached.

    Use it as an async context manager, or call `aclose` at the end.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self._http = Transport(
            url,
            token,
            part="producer",
            unreachable=ProducerUnavailable,
            remedy="Start a farm with `buildyard local`, or set BUILDYARD_API_URL to where the producer listens.",
            health_path="/api/v1/health",
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def health(self) -> HealthAnswer:
        """How the producer is; also when it is not ready."""
        return await self._http.value("GET", "/api/v1/health", HealthAnswer, also=(503,))

    # ---------------------------------------------------------------- asking for builds

    async def upload(
        self,
        source: Path | AsyncIterable[bytes],
        fields: Mapping[str, str] | None = None,
        on_progress: Progress | None = None,
        *,
        filename: str = "",
        key: str = "",
    ) -> BuildAccepted:
        """Upload a file and build it; `fields` are form fields such as projectName or targetPool.

        With a `key` of 1 to 255 characters, here and below, the same request may be sent again: it is done once.

        Raises:
            InvalidUpload: the file cannot be read, or is none that can be built.
            TooLarge: it is over the farm's limit.
            InvalidRequest: a field is wrong.
        """
        form = Multipart(source, fields or {}, filename, on_progress)
        return await self._send("/upload", BuildAccepted, form, key)

    async def store_upload(
        self, source: Path | AsyncIterable[bytes], on_progress: Progress | None = None, *, filename: str = ""
    ) -> UploadStored:
        """Upload a file without building it; raises as `upload` does."""
        return await self._send("/api/v1/jobs", UploadStored, Multipart(source, {}, filename, on_progress))

    async def _send(self, path: str, shape: type[_Shape], form: Multipart, key: str = "") -> _Shape:
        headers = {**form.headers, **once(key)}
        async with self._http.open(
            "POST", path, body=form.chunks(), headers=headers, quiet_seconds=_UPLOAD_QUIET_SECONDS
        ) as answer:
            return await self._http.read(answer, shape)

    async def start(self, job_id: str, request: BuildRequest, *, key: str = "") -> BuildAccepted:
        """Build a stored upload.

        Raises:
            NotFound: there is no such upload, or it expired.
            Conflict: it is being built already.
        """
        path = f"/api/v1/jobs/{part_of_path(job_id)}/build"
        return await self._http.value("POST", path, BuildAccepted, body=request, headers=once(key))

    async def submit(self, request: BuildRequest, *, key: str = "") -> BuildAccepted:
        """Build a repository.

        Raises:
            InvalidRequest: a field is wrong, or the repository's host is not allowed.
        """
        return await self._http.value("POST", "/api/v1/builds", BuildAccepted, body=request, headers=once(key))

    # ---------------------------------------------------------------- looking at builds

    async def builds(
        self,
        *,
        status: str | None = None,
        project: str | None = None,
        pool: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> BuildList:
        """A page of builds, newest first; `cursor` is the last page's `next_cursor`."""
        params = {"status": status, "project": project, "pool": pool, "limit": limit, "cursor": cursor}
        return await self._http.value("GET", "/api/v1/builds", BuildList, params=params)

    async def build(self, build_id: str) -> BuildStatus:
        """One build. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/builds/{part_of_path(build_id)}", BuildStatus)

    async def diagnostics(self, build_id: str) -> DiagnosticList:
        """What the compilers of a build said, errors first. Raises NotFound."""
        path = f"/api/v1/builds/{part_of_path(build_id)}/diagnostics"
        return await self._http.value("GET", path, DiagnosticList)

    async def tests(
        self, build_id: str, *, status: str | None = None, suite: str | None = None, after: str = "0", limit: int = 100
    ) -> TestPage:
        """A page of a build's tests, failures first; `after` is the last page's `next_cursor`. Raises NotFound."""
        params = {"status": status, "suite": suite, "after": after, "limit": limit}
        return await self._http.value("GET", f"/api/v1/builds/{part_of_path(build_id)}/tests", TestPage, params=params)

    async def logs(
        self,
        build_id: str,
        *,
        from_: int | None = None,
        to: int | None = None,
        tail: int | None = None,
        stage: str | None = None,
        follow: bool = False,
    ) -> AsyncGenerator[str]:
        """Log lines, numbered from 1 over the whole build. Raises NotFound.

        `follow` goes on until the build ends; a stream that breaks is taken up again where it stopped, for as long
        as the producer comes back within 30 s.
        """
        params: dict[str, object] = {"from": from_, "to": to, "tail": tail, "stage": stage}
        path = f"/api/v1/builds/{part_of_path(build_id)}/logs"
        if not follow:
            async with self._http.open("GET", path, params=params, quiet_seconds=QUIET_STREAM_SECONDS) as answer:
                async for line in answer.lines():
                    yield line
            return
        async with aclosing(followed_log(self._http, path, params, partial(self._has_ended, build_id))) as lines:
            async for entry in lines:
                yield entry.text

    async def log_lines(
        self, build_id: str, *, tail: int | None = None, stage: str | None = None, follow: bool = False
    ) -> AsyncGenerator[LogEntry]:
        """As `logs`, each line with its time, stage, job and attempt."""
        params: dict[str, object] = {"tail": tail, "stage": stage}
        path = f"/api/v1/builds/{part_of_path(build_id)}/logs"
        ended = partial(self._has_ended, build_id)
        asked = followed_log(self._http, path, params, ended) if follow else stored_log(self._http, path, params)
        async with aclosing(asked) as lines:
            async for entry in lines:
                yield entry

    async def log_entries(
        self, build_id: str, *, from_: int | None = None, tail: int | None = None
    ) -> AsyncGenerator[tuple[LogEntry, ...]]:
        """Follow a log over one connection, in batches as they arrive; nothing is taken up again here.

        Raises:
            NotFound: there is no such build.
            ProducerUnavailable: the connection broke; `from_` one more than the last number goes on.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/logs"
        async with aclosing(log_entries(self._http, path, {"from": from_, "tail": tail})) as batches:
            async for batch in batches:
                yield batch

    async def events(self, build_id: str, after: int = 0) -> AsyncGenerator[BuildEvent]:
        """Events after number `after`, without gap or repetition, until the build has ended.

        A broken stream is taken up again where it stopped, for as long as the producer comes back within 30 s.

        Raises:
            NotFound: there is no such build.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/events"
        async with aclosing(followed_events(self._http, path, after, partial(self._has_ended, build_id))) as events:
            async for event in events:
                yield event

    async def _has_ended(self, build_id: str) -> bool:
        return BuildState((await self.build(build_id)).status).terminal

    async def cancel(self, build_id: str) -> CancelAccepted:
        """Cancel a build; cancelling twice is fine.

        Raises:
            NotFound: there is no such build.
            Conflict: it ended otherwise.
        """
        return await self._http.value("POST", f"/api/v1/builds/{part_of_path(build_id)}/cancel", CancelAccepted)

    async def retry(self, build_id: str, *, failed_only: bool | None = None, key: str = "") -> BuildAccepted:
        """Build an ended build again, as a new build.

        `failed_only` true builds only what failed of it, false all of it; None takes over what can be.

        Raises:
            NotFound: there is no such build.
            Conflict: it has not ended; code `no_failed_part` when nothing can be taken over, though that is wanted.
        """
        path = f"/api/v1/builds/{part_of_path(build_id)}/retry"
        body = None if failed_only is None else RetryRequest(failed_only=failed_only)
        return await self._http.value("POST", path, BuildAccepted, body=body, headers=once(key))

    # ---------------------------------------------------------------- dead letters

    async def dead_letters(
        self,
        *,
        project: str | None = None,
        pool: str | None = None,
        reason_code: ReasonCode | None = None,
        since: datetime | None = None,
        settled: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeadLetterList:
        """A page of dead letters, the newest build first; `settled` brings those too that a person dealt with."""
        params = {
            "project": project,
            "pool": pool,
            "reasonCode": reason_code.value if reason_code else None,
            "since": rfc3339(since) if since else None,
            "settled": "true" if settled else None,
            "limit": limit,
            "cursor": cursor,
        }
        return await self._http.value("GET", "/api/v1/dead", DeadLetterList, params=params)

    async def dead_letter(self, build_id: str) -> DeadLetterDetail:
        """One dead letter with its attempts, events and last log lines. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/dead/{part_of_path(build_id)}", DeadLetterDetail)

    async def requeue(self, build_id: str, *, key: str = "") -> BuildAccepted:
        """Build a dead letter again, as a new build.

        Raises:
            NotFound: there is no such build.
            Conflict: it is no dead letter, or settled.
        """
        path = f"/api/v1/dead/{part_of_path(build_id)}/requeue"
        return await self._http.value("POST", path, BuildAccepted, headers=once(key))

    async def requeue_matching(self, request: RequeueRequest) -> RequeuedList:
        """Build those dead letters again that match, a page at a time."""
        return await self._http.value("POST", "/api/v1/dead/requeue", RequeuedList, body=request)

    async def drop(self, build_id: str, reason: str, *, key: str = "") -> DeadLetterDetail:
        """Give a dead letter up; raises as `requeue` does."""
        path = f"/api/v1/dead/{part_of_path(build_id)}/drop"
        body = DropRequest(reason=reason)
        return await self._http.value("POST", path, DeadLetterDetail, body=body, headers=once(key))

    # ---------------------------------------------------------------- what builds hand back

    async def artifacts(self, build_id: str) -> ArtifactList:
        """All artifacts of a build. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/builds/{part_of_path(build_id)}/artifacts", ArtifactList)

    async def download(self, artifact: ArtifactView, target: Path, on_progress: Progress | None = None) -> None:
        """Bring an artifact to the file `target`, verified; a download that broke off goes on where it stopped.

        Raises:
            TemporaryError: the connection kept breaking, or what came does not match its sha256.
            InvalidRequest: `target` cannot be written.
        """
        await download(self._http, artifact, target, on_progress)

    async def rows(self, build_id: str, *, after: int = 0, limit: int | None = None) -> RowList:
        """A page of row results after row number `after`, in order. Raises NotFound."""
        path = f"/api/v1/builds/{part_of_path(build_id)}/rows"
        return await self._http.value("GET", path, RowList, params={"after": after, "limit": limit})

    async def rows_jsonl(self, build_id: str) -> AsyncGenerator[bytes]:
        """All row results as JSON lines, in order of rows, in pieces of any length. Raises NotFound."""
        path = f"/api/v1/builds/{part_of_path(build_id)}/rows"
        async with self._http.open("GET", path, params={"format": "jsonl"}, quiet_seconds=120) as answer:
            async for chunk in answer.chunks():
                yield chunk

    # ---------------------------------------------------------------- agents and pools

    async def pools(self) -> PoolList:
        """Every pool with what waits and what runs."""
        return await self._http.value("GET", "/api/v1/pools", PoolList)

    async def agents(self) -> AgentList:
        """Every agent, those present first."""
        return await self._http.value("GET", "/api/v1/agents", AgentList)

    async def agent(self, name: str) -> AgentView:
        """One agent. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/agents/{part_of_path(name)}", AgentView)

    async def agent_health(self, name: str) -> AgentHealthAnswer:
        """How one agent is. Raises NotFound."""
        return await self._http.value("GET", f"/api/v1/agents/{part_of_path(name)}/health", AgentHealthAnswer)

    async def drain_agent(self, name: str, reason: str) -> AgentView:
        """Ask an agent to finish what it has in hand and leave. Raises NotFound."""
        path = f"/api/v1/agents/{part_of_path(name)}/drain"
        return await self._http.value("POST", path, AgentView, body=DrainRequest(reason=reason))

    async def undrain_agent(self, name: str) -> AgentView:
        """Let a draining agent take work again.

        Raises:
            NotFound: there is no such agent.
            Conflict: it has left.
        """
        return await self._http.value("POST", f"/api/v1/agents/{part_of_path(name)}/undrain", AgentView)

    async def register(self, registration: AgentRegistration) -> AgentJoined:
        """Join a pool as an agent.

        Raises:
            Conflict: code `agent_unsuited` when the agent lacks what its pool declares, `agent_exists` when another
                process has the name.
        """
        return await self._http.value("POST", "/api/v1/agents", AgentJoined, body=registration)

    async def claim(self, agent: str, request: ClaimRequest) -> ClaimAnswer:
        """Ask for a job. Raises NotFound when the producer does not know the agent: it registers again."""
        return await self._http.value("POST", f"/api/v1/agents/{part_of_path(agent)}/claim", ClaimAnswer, body=request)
