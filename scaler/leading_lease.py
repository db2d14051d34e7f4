"""Leadership among the scalers of a cluster: a Lease (`coordination.k8s.io`).

The holder renews it every second. A standby takes it over once it has seen no renewal for the lease's duration, by its
own monotonic clock: no two machines need the same time. The holder itself stops before that: it leads only until a
second before its last renewal runs out, so that one whose renewals are lost stops before another begins.
The library's own election is not used: its calls have no deadline, its times are whole seconds of the wall clock, and
an error of the network ends it.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from buildyard.clock import Clock
from buildyard.errors import BuildyardError
from buildyard.telemetry import logger
from scaler.executors.kubernetes_answers import Refusal, error_of
from scaler.executors.kubernetes_connection import Connection

LEASE_SECONDS = 4
"""Whole seconds, as the object has it."""
MARGIN_SECONDS = 1.0
_RENEW_SECONDS = 0.75
_TRY_SECONDS = 0.25

_log = logger("leading")


class LeaseLock:
    """The right to decide, kept by an API server.

    Args:
        connection: to the cluster; closed by `aclose`.
        namespace: of the Lease.
        name: of the Lease.
        me: how this process is named there; no other one may have this name.
        clock: the monotonic seconds decide, the time is only written down.
    """

    def __init__(self, connection: Connection, namespace: str, name: str, me: str, clock: Clock) -> None:
        self._connection = connection
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._name = name
        self._me = me
        self._clock = clock
        self._until = 0.0
        self._seen: dict[str, Any] | None = None
        self._seen_at = 0.0
        self._trouble = ""
        self._releasing: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        """Whether this process holds the Lease, and its last renewal is young enough."""
        return self._clock.monotonic() < self._until

    def leader(self) -> str:
        """Who holds the Lease, as it was seen last."""
        return self._me if self.leads else _holder(self._seen) if self._seen and not self._trouble else ""

    async def won(self) -> None:
        """Wait until this process holds the Lease."""
        while True:
            await self._try()
            if self.leads:
                return
            await asyncio.sleep(_TRY_SECONDS)

    async def lost(self) -> None:
        """Renew the Lease until that has not worked for too long, or somebody else has it."""
        while self.leads:
            await asyncio.sleep(_RENEW_SECONDS if not self._trouble else _TRY_SECONDS)
            left = self._until - self._clock.monotonic()
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._try()
            except TimeoutError:
                continue  # it leads no more, and says so at the head of the loop

    def resign(self) -> None:
        """Give it up, so that another one takes over at once; `aclose` waits until that is known."""
        if self.leads and self._seen is not None:
            self._until = 0.0
            self._releasing = asyncio.create_task(self._release(self._seen), name="release the lease")

    async def aclose(self) -> None:
        """Wait until what was given up is known, and close the connection."""
        if self._releasing is not None:
            await self._releasing
        await self._connection.aclose()

    # ------------------------------------------------------------------------------------------------ inside

    async def _try(self) -> None:
        """Take the Lease, or renew it, or look who has it; what goes wrong is told once."""
        asked_at = self._clock.monotonic()
        try:
            held = await (self._renew() if self.leads else self._take())
        except Refusal as refused:
            if refused.status == HTTPStatus.CONFLICT:  # another one was faster: look again
                self._seen = None if self.leads else self._seen
                self._until = 0.0
                return
            self._failed(error_of(refused, f"use the Lease {self._name} of the namespace {self._namespace}"))
        except BuildyardError as error:
            self._failed(error)
        else:
            self._trouble = ""
            if held:
                self._until = asked_at + LEASE_SECONDS - MARGIN_SECONDS

    async def _take(self) -> bool:
        path = f"{self._leases}/{self._name}"
        try:
            found = await self._connection.call("GET", path)
        except Refusal as refused:
            if refused.status != HTTPStatus.NOT_FOUND:
                raise
            self._note(await self._connection.call("POST", self._leases, body=self._mine(None)))
            return True
        if self._seen is None or found["metadata"]["resourceVersion"] != self._seen["metadata"]["resourceVersion"]:
            self._note(found)
        waited = self._clock.monotonic() - self._seen_at
        duration = float(found["spec"].get("leaseDurationSeconds") or LEASE_SECONDS)
        if _holder(found) not in ("", self._me) and waited < duration:
            return False
        self._note(await self._connection.call("PUT", path, body=self._mine(found)))
        return True

    async def _renew(self) -> bool:
        """The version in it makes the API server refuse it when anybody else has written meanwhile."""
        path = f"{self._leases}/{self._name}"
        self._note(await self._connection.call("PUT", path, body=self._mine(self._seen)))
        return True

    async def _release(self, seen: dict[str, Any]) -> None:
        spec = {**seen["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            await self._connection.call("PUT", f"{self._leases}/{self._name}", body={**seen, "spec": spec})
        except BuildyardError as error:
            _log.warning("the lease could not be given up: it runs out", cause=str(error))

    def _mine(self, found: dict[str, Any] | None) -> dict[str, Any]:
        """The Lease with this process as its holder."""
        before: dict[str, Any] = (found or {}).get("spec") or {}
        stamp = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        kept = found is not None and _holder(found) == self._me
        spec = {
            "holderIdentity": self._me,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": before.get("acquireTime") if kept else stamp,
            "renewTime": stamp,
            "leaseTransitions": (before.get("leaseTransitions") or 0) + (0 if kept or found is None else 1),
        }
        metadata = found["metadata"] if found else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    def _note(self, found: dict[str, Any]) -> None:
        self._seen, self._seen_at = found, self._clock.monotonic()

    def _failed(self, error: BuildyardError) -> None:
        if str(error) != self._trouble:
            _log.warning("the lease cannot be used", cause=str(error))
        self._trouble = str(error)


def _holder(found: dict[str, Any] | None) -> str:
    return ((found or {}).get("spec") or {}).get("holderIdentity") or ""
