"""The scaler's API as typed calls."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self
from urllib.parse import quote

from buildyard.client.transport import Transport
from buildyard.contracts.api import DecisionList, HealthAnswer, WorkerList
from buildyard.errors import ScalerUnavailable


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
        self, limit: int = 50, pool: str | None = None, *, changes: bool = False, since: int | None = None
    ) -> DecisionList:
        """The newest decisions, newest first, after number `since`.

        `changes` leaves out those that only repeat the one before.
        """
        params = {"limit": limit, "pool": pool, "changes": changes or None, "since": since}
        return await self._http.value("GET", "/decisions", DecisionList, params=params)

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

    async def health(self) -> HealthAnswer:
        """How the scaler is; also when it is not well."""
        return await self._http.value("GET", "/healthz", HealthAnswer, also=(503,))
