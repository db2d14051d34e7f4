"""Leadership kept as a Lease: one holder at a time, whatever the network does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from buildyard.clock import SystemClock
from buildyard.errors import InvalidSettings
from scaler.executors.kubernetes_connection import Connection
from scaler.leading import open_leadership
from scaler.leading_lease import LEASE_SECONDS, LeaseLock
from tests.scaler.fake_kubernetes import FakeCluster, fake_cluster, refusing, set_deadline


class HandClock(SystemClock):
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 9, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds


class Candidates:
    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self.cluster = cluster
        self.clock = HandClock()
        self._kubeconfig = cluster.kubeconfig(folder)
        self._made: list[LeaseLock] = []

    def one(self, me: str) -> LeaseLock:
        made = LeaseLock(Connection(self._kubeconfig), "n", "scaler", me, self.clock)
        self._made.append(made)
        return made

    def holder(self) -> Any:
        return self.cluster.objects["leases"]["scaler"]["spec"]["holderIdentity"]

    async def close(self) -> None:
        for made in self._made:
            await made.aclose()


@pytest.fixture
async def candidates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Candidates]:
    set_deadline(monkeypatch, 60.0)
    async with fake_cluster() as cluster:
        made = Candidates(cluster, tmp_path)
        yield made
        await made.close()


async def test_the_first_one_leads_and_the_second_knows_who_does(candidates: Candidates) -> None:
    first, second = candidates.one("first"), candidates.one("second")
    await first.won()
    await second._try()

    assert (first.leads, second.leads) == (True, False)
    assert first.leader() == second.leader() == candidates.holder() == "first"


async def test_of_two_at_once_one_leads(candidates: Candidates) -> None:
    both = [candidates.one(f"scaler-{number}") for number in range(6)]
    await asyncio.gather(*(one._try() for one in both))

    assert sum(one.leads for one in both) == 1


async def test_a_leader_that_renews_keeps_the_lease(candidates: Candidates) -> None:
    first, second = candidates.one("first"), candidates.one("second")
    await first.won()
    for _ in range(10):
        candidates.clock.seconds += LEASE_SECONDS / 3
        await first._try()
        await second._try()
        assert (first.leads, second.leads) == (True, False)


async def test_a_leader_that_died_is_replaced_when_its_lease_has_run_out(candidates: Candidates) -> None:
    first, second = candidates.one("first"), candidates.one("second")
    await first.won()
    await second._try()

    candidates.clock.seconds += LEASE_SECONDS - 0.1
    await second._try()
    assert not second.leads
    assert not first.leads, "a leader without renewals stops before another one begins"

    candidates.clock.seconds += 0.2
    await second.won()
    assert candidates.holder() == "second"


async def test_one_that_resigns_is_replaced_at_once(candidates: Candidates) -> None:
    first, second = candidates.one("first"), candidates.one("second")
    await first.won()
    first.resign()
    await first.aclose()

    await second.won()

    assert candidates.holder() == "second"
    assert not first.leads


async def test_one_that_was_replaced_unawares_hears_so_at_its_next_renewal(candidates: Candidates) -> None:
    first = candidates.one("first")
    await first.won()
    lease = candidates.cluster.objects["leases"]["scaler"]
    await candidates.cluster.put("leases", {**lease, "spec": {**lease["spec"], "holderIdentity": "other"}})

    async with asyncio.timeout(60):
        await first.lost()
    await first._try()

    assert (first.leads, first.leader()) == (False, "other")


async def test_a_keeper_that_cannot_be_asked_ends_leadership_in_time(candidates: Candidates) -> None:
    first = candidates.one("first")
    await first.won()
    candidates.cluster.faults.append(refusing(503, "ServiceUnavailable", "etcd is away"))
    await first._try()
    assert first.leads

    candidates.clock.seconds += LEASE_SECONDS - 1
    async with asyncio.timeout(60):
        await first.lost()
    assert first.leader() == ""

    candidates.cluster.faults.clear()
    async with asyncio.timeout(60):
        await first.won()


@pytest.mark.parametrize("url", ["lease:", "lease:n", "lease:n/", "lease:N/x", "lease:../n/x"])
def test_a_lease_without_its_place_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidSettings, match="is none of file:, none: and lease:NAMESPACE/NAME"):
        open_leadership(url, tmp_path, "me")


def test_a_lease_needs_a_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "none")
    monkeypatch.setattr("scaler.executors.kubernetes_connection.KUBE_CONFIG_DEFAULT_LOCATION", missing)
    with pytest.raises(InvalidSettings, match="There is no kubeconfig"):
        open_leadership("lease:n/scaler", tmp_path, "me")
