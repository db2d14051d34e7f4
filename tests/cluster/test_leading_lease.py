"""A Lease of a real API server: who leads while scalers die, hang and come back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from buildyard.clock import SystemClock
from scaler.executors.kubernetes_connection import Connection
from scaler.leading_lease import LeaseLock
from tests.cluster.relay import Relay
from tests.cluster.running import Cluster

PATIENCE = 60.0


class Scalers:
    """Candidates for one Lease, each with a way of its own to the API server."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self._folder = folder
        self._relays: list[Relay] = []
        self._locks: list[LeaseLock] = []

    async def one(self, me: str) -> tuple[LeaseLock, Relay]:
        relay, folder = Relay(self.cluster.kubeconfig), self._folder / me
        folder.mkdir()
        await relay.open()
        lock = LeaseLock(Connection(relay.kubeconfig(folder)), self.namespace, "scaler", me, SystemClock())
        self._relays.append(relay)
        self._locks.append(lock)
        return lock, relay

    def lease(self) -> dict[str, Any]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/scaler"
        with self.cluster.client() as api:
            spec: dict[str, Any] = api.get(path).json()["spec"]
        return spec

    async def close(self) -> None:
        for lock in self._locks:
            await lock.aclose()
        for relay in self._relays:
            await relay.refuse()


@pytest.fixture
async def scalers(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Scalers]:
    with cluster.namespace() as namespace:
        made = Scalers(cluster, namespace, tmp_path)
        yield made
        await made.close()


async def won(lock: LeaseLock) -> None:
    async with asyncio.timeout(PATIENCE):
        await lock.won()


@pytest.mark.parametrize("how", ["refused", "hanging"])
async def test_a_leader_that_is_cut_off_stops_before_the_next_one_begins(scalers: Scalers, how: str) -> None:
    (first, cut), (second, _) = await scalers.one("first"), await scalers.one("second")
    await won(first)
    renewing = asyncio.create_task(first.lost())
    began = scalers.lease()["renewTime"]
    async with asyncio.timeout(PATIENCE):
        while scalers.lease()["renewTime"] == began:
            await asyncio.sleep(0.1)
    waiting = asyncio.create_task(second.won())

    await cut.refuse() if how == "refused" else cut.hold()
    async with asyncio.timeout(PATIENCE):
        await renewing
        assert not first.leads
        await waiting

    assert (second.leads, scalers.lease()["holderIdentity"], scalers.lease()["leaseTransitions"]) == (True, "second", 1)


async def test_a_leader_that_was_killed_is_replaced(scalers: Scalers) -> None:
    (first, _), (second, _) = await scalers.one("first"), await scalers.one("second")
    await won(first)
    await won(second)  # nobody renews for the first one, as after kill -9
    assert scalers.lease()["holderIdentity"] == "second"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await first.lost()
    assert not first.leads


async def test_one_that_resigns_is_followed_at_once(scalers: Scalers) -> None:
    (first, _), (second, _) = await scalers.one("first"), await scalers.one("second")
    await won(first)
    first.resign()
    assert first._releasing is not None
    await first._releasing
    assert scalers.lease()["holderIdentity"] == ""
    await won(second)
    assert scalers.lease()["holderIdentity"] == "second"
