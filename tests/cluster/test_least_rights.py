"""Each right of the scaler is taken away alone: the one thing that needs it fails and says so, on a real API server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from buildyard.clock import SystemClock
from buildyard.contracts.pools_kubernetes import KubernetesPool, PendingBounds
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import BuildyardError, InvalidSettings
from scaler.executors.kubernetes import KubernetesExecutor
from scaler.executors.kubernetes_answers import NEEDED
from scaler.executors.kubernetes_connection import Connection
from scaler.executors.kubernetes_job import worker_job
from scaler.leading_lease import LeaseLock
from tests.cluster.account import kubeconfig, make_account, role, token
from tests.cluster.objects import IMAGE, Place
from tests.cluster.running import Cluster
from tests.scaler.fake_kubernetes import set_deadline

PATIENCE = 180.0
NAME = "linux-1-1"
AT_ONCE = PendingBounds(image_pull=0.1, no_node=0.1, quota=0.1, bad_spec=0.1, volume=0.1, starting=0.1)

Right = tuple[str, str]


@dataclass
class Scaler:
    """A scaler's hands in a namespace, with an account that lacks one right."""

    place: Place
    kubeconfig: Path
    executor: KubernetesExecutor
    table: KubernetesPool
    lock: LeaseLock


async def look(scaler: Scaler) -> None:
    await scaler.executor.list()


async def start(scaler: Scaler) -> None:
    await scaler.executor.start(NAME)


async def start_what_another_one_started(scaler: Scaler) -> None:
    job = worker_job(scaler.table, NAME, {}, SystemClock().now())
    made = scaler.place.api.post(f"/apis/batch/v1/namespaces/{scaler.place.namespace}/jobs", json=job)
    assert made.is_success, made.text
    await scaler.executor.start(NAME)


async def read_a_log(scaler: Scaler) -> None:
    await scaler.executor.start(NAME)
    while not [piece async for piece in scaler.executor.logs(NAME)]:
        await asyncio.sleep(0.1)


async def mark(scaler: Scaler) -> None:
    await scaler.executor.start(NAME)
    while True:
        await scaler.executor.list()
        await scaler.executor.mark(frozenset({NAME}))
        await asyncio.sleep(0.1)


async def give_up(scaler: Scaler) -> None:
    await scaler.executor.start(NAME)
    while (await scaler.executor.describe(NAME)).state == "Running":
        if scaler.place.pods():  # what waits has a pod by then, that is to go first
            await scaler.executor.reap()
        await asyncio.sleep(0.1)


async def wait(scaler: Scaler) -> None:
    await scaler.executor.start(NAME)
    while True:
        await scaler.executor.list()
        await asyncio.sleep(0.1)


async def lead(scaler: Scaler) -> None:
    while True:
        await scaler.lock.won()
        await scaler.lock.lost()


NEEDS: dict[Right, Callable[[Scaler], Awaitable[None]]] = {
    ("get", "jobs"): start_what_another_one_started,
    ("list", "jobs"): look,
    ("watch", "jobs"): look,
    ("create", "jobs"): start,
    ("patch", "jobs"): give_up,
    ("list", "pods"): look,
    ("watch", "pods"): look,
    ("patch", "pods"): mark,
    ("delete", "pods"): give_up,
    ("get", "pods/log"): read_a_log,
    ("list", "events"): wait,
    ("get", "leases"): lead,
    ("create", "leases"): lead,
    ("update", "leases"): lead,
}
"""What a scaler does that needs the right."""


@contextlib.asynccontextmanager
async def lacking(right: Right, cluster: Cluster, folder: Path) -> AsyncIterator[Scaler]:
    """A scaler in a namespace of its own without this right."""
    with cluster.client() as api, cluster.namespace() as namespace:
        place = Place(api, namespace)
        make_account(place, right)
        file = folder / namespace
        file.write_text(kubeconfig(cluster, token(place)))
        never = NEEDS[right] in (give_up, wait)
        table = KubernetesPool(
            namespace=namespace,
            kubeconfig=str(file),
            image="registry.invalid/worker:1" if never else IMAGE,
            command=("sh", "-c", "echo began; exec sleep 600"),
            requests={"cpu": "100m"},
            limits={"memory": "64Mi"},
            pending_seconds=AT_ONCE if NEEDS[right] is give_up else PendingBounds(),
        )
        pools = {"linux": PoolConfig(name="linux", executor="kubernetes", kubernetes=table)}
        executor = KubernetesExecutor(pools, {}, SystemClock())
        lock = LeaseLock(Connection(str(file)), namespace, "buildyard-scaler", "one", SystemClock())
        try:
            yield Scaler(place, file, executor, table, lock)
        finally:
            await executor.aclose()
            await lock.aclose()


async def check(scaler: Scaler, right: Right) -> None:
    """The check before a scaler begins names exactly what it lacks, once the API server knows the new role."""
    known = {(verb, resource) for _, resource, verbs in NEEDED for verb in verbs}
    wanted = f"may not {right[0]} {right[1]} in the namespace" if right in known else ""
    while True:
        try:
            await scaler.executor.check()
            told = ""
        except InvalidSettings as error:
            told = str(error)
        if (wanted in told) if wanted else not told:
            return
        await asyncio.sleep(0.1)


async def refusal(scaler: Scaler, right: Right, said: list[structlog.typing.EventDict]) -> str:
    """The sentence in which what needs the right says that it was refused: it is raised, or told in the log."""
    words = f'cannot {right[0]} resource "{right[1]}" in API group'
    doing = asyncio.ensure_future(NEEDS[right](scaler))
    try:
        while True:
            told = [str(line.get("cause", "")) for line in said]
            if doing.done():
                error = doing.exception()
                assert isinstance(error, BuildyardError), f"{right} is not needed: {error!r}"
                told.append(str(error))
                assert words in str(error) or words in " ".join(told), f"{right}: {error}"
            found = [one for one in told if words in one and scaler.place.namespace in one]
            if found:
                return found[0]
            await asyncio.sleep(0.05)
    finally:
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)


async def test_a_scaler_without_one_of_its_rights_fails_where_it_needs_it_and_says_so(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_deadline(monkeypatch, 60.0)  # who answers late is not what this is about
    assert NEEDS.keys() == role(), "every right has something that needs it, and nothing needs another one"

    async def broken(right: Right) -> str:
        async with asyncio.timeout(PATIENCE), lacking(right, cluster, tmp_path) as scaler:
            await check(scaler, right)
            return await refusal(scaler, right, said)

    with structlog.testing.capture_logs() as said:
        told = await asyncio.gather(*map(broken, NEEDS))

    for right, sentence in zip(NEEDS, told, strict=True):
        assert "is forbidden" in sentence, right


@pytest.mark.parametrize("right", [("delete", "jobs"), ("get", "secrets"), ("create", "pods")])
def test_what_would_be_harm_is_no_right_of_a_scaler(right: Right) -> None:
    assert right not in role()
