"""The scaler's API as typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self
from urllib.parse import quote

from buildyard.client.transport import Answer, Transport
from buildyard.contracts.api import DecisionList, WorkerList
from buildyard.contracts.health import ScalerHealth
from buildyard.contracts.scaling import WhatIf, WhatIfAnswer, WhyList
from buildyard.contracts.wire import rfc3339
from buildyard.errors import ScalerUnavailable

HANDED_ON = "buildyard-handed-on"
"""The header of a question that a scaler which stands by asks for somebody else."""


class ScalerClient:
    """Calls to one scaler; every method raises `ScalerUnavailable` when it cannot be reached."""

    def __init__(self, url: str, token: str = "") -> None:
        self._http = Transport(
            url,
            token,
            part="scaler",
            unreachable=ScalerUnavailable,
            remedy="Start a farm with `buildyard local`, or set BUILDYARD_SCALER_URL to where the scaler listens.",
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def decisions(
        self,
        limit: int = 50,
        pool: str | None = None,
        *,
        changes: bool = False,
        since: int | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        cursor: str | None = None,
    ) -> DecisionList:
        """Decisions, newest first, after number `since` and between two moments; `cursor` goes on with older ones.

        `changes` leaves out those that only repeat the one before.
        """
        params = {
            "limit": limit,
            "pool": pool,
            "changes": changes or None,
            "since": since,
            "after": rfc3339(after) if after else None,
            "before": rfc3339(before) if before else None,
            "cursor": cursor,
        }
        return await self._http.value("GET", "/decisions", DecisionList, params=params)

    async def why(self, *, pool: str | None = None, build: str | None = None) -> WhyList:
        """Why pools have the workers they have, or why a build waits. Raises NotFound for an unknown one."""
        return await self._http.value("GET", "/why", WhyList, params={"pool": pool, "build": build})

    async def what_if(self, question: WhatIf) -> WhatIfAnswer:
        """What the scaler would decide with other values.

        Raises:
            NotFound: there is no such pool.
            Conflict: nothing was decided about it yet.
        """
        params = question.model_dump(by_alias=True, exclude_none=True)
        return await self._http.value("GET", "/whatif", WhatIfAnswer, params=params)

    async def workers(self) -> WorkerList:
        """The workers as their executors know them, and the readings of every pool."""
        return await self._http.value("GET", "/agents", WorkerList)

    async def worker_logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> AsyncGenerator[str]:
        """The log lines of one worker process; `follow` goes on until it ends."""
        params = {"follow": follow or None, "tail": tail}
        quiet = None if follow else 30.0
        async with self._http.open(
            "GET", f"/agents/{quote(name, safe='')}/logs", params=params, quiet_seconds=quiet
        ) as answer:
            async for line in answer.lines():
                yield line

    async def worker_log_batches(self, name: str, *, tail: int) -> AsyncGenerator[tuple[str, ...]]:
        """Follow the log of one worker process from its last `tail` lines on, in batches as they arrive."""
        path = f"/agents/{quote(name, safe='')}/logs"
        async with self._http.open("GET", path, params={"follow": True, "tail": tail}, quiet_seconds=None) as answer:
            async for batch in answer.batches():
                yield batch

    @asynccontextmanager
    async def as_it_comes(self, path: str, params: Mapping[str, str]) -> AsyncIterator[Answer]:
        """The answer to somebody else's question, for a scaler that hands it on."""
        quiet = None if "follow" in params else 30.0
        headers = {HANDED_ON: "1"}
        async with self._http.open("GET", path, headers=headers, params=params, quiet_seconds=quiet) as answer:
            yield answer

    async def health(self) -> ScalerHealth:
        """How the scaler is, and what it uses itself; also when it is not well."""
        return await self._http.value("GET", "/healthz", ScalerHealth, also=(503,))
