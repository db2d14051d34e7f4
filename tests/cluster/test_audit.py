"""The audit of kills: it says 1 when somebody deletes the pod of a busy worker, and 0 when nobody lost anything."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildyard.cli.local import READY_SECONDS, Part, held_port
from buildyard.client import ProducerClient
from buildyard.errors import ProducerUnavailable
from tests.cluster.objects import Place, pod, until
from tests.cluster.running import Cluster
from tests.journey.yard import PATIENCE, QUICK, make_project

pytestmark = [pytest.mark.journey]


@dataclass
class PodFarm:
    """A producer on this machine whose workers are pods."""

    producer: ProducerClient
    environment: dict[str, str]
    place: Place

    async def build(self, recipe: str) -> str:
        """Send a project whose build runs one shell recipe; its id."""

        async def content() -> AsyncIterator[bytes]:
            yield make_project(recipe)

        return (await self.producer.upload(content(), {}, filename="project.zip")).execution_id

    async def busy(self, name: str) -> None:
        """Wait until a worker holds a lease."""
        async with asyncio.timeout(PATIENCE):
            while (await self.producer.agent(name)).job_id is None:
                await asyncio.sleep(0.1)

    async def worker(self, name: str, grace: float) -> None:
        """Make the pod of a worker and wait until it has joined."""
        command = ("python", "-P", "-m", "worker", "--pool", "linux", "--name", name)
        variables = {**self.environment, "BUILDYARD_GRACE_SECONDS": str(grace), "BUILDYARD_DATA_DIR": "/work"}
        mount = {"volumeMounts": [{"name": "work", "mountPath": "/work"}]}
        volumes = [{"name": "work", "emptyDir": {}}]
        self.place.make("pods", pod(name, *command, env=variables, container=mount, volumes=volumes))
        async with asyncio.timeout(PATIENCE):
            while name not in {agent.name for agent in (await self.producer.agents()).agents}:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def pod_farm(folder: Path, place: Place) -> AsyncIterator[PodFarm]:
    port, holder = held_port("127.0.0.1")
    data, url = folder / "data", f"http://127.0.0.1:{port}"
    data.mkdir()
    shared = {
        **QUICK,
        "BUILDYARD_API_URL": url,
        "BUILDYARD_BROKER_URL": f"sqlite:///{data / 'broker.sqlite'}",
        "BUILDYARD_OBJECTS_URL": f"file://{data / 'objects'}",
    }
    own = {"BUILDYARD_DATA_DIR": str(data), "BUILDYARD_PORT": str(port)}
    environment = {**os.environ, **shared, **own}
    part = Part("producer", ("orchestrator",), folder / "producer.log", environment, ProducerUnavailable, print)
    try:
        await part.start(READY_SECONDS)
        async with ProducerClient(url) as producer:
            yield PodFarm(producer, shared, place)
    finally:
        await part.stop(20)
        if holder:
            holder.close()


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's: nobody audits its kills")
    with cluster.namespace() as namespace, cluster.client() as api:
        until(lambda: api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
        yield Place(api, namespace)


async def test_a_busy_pod_that_somebody_deletes_is_one_kill_in_the_audit(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    async with pod_farm(tmp_path, place) as farm:
        await farm.worker("linux-1-1", grace=20)
        build = await farm.build("sleep 600")
        await farm.busy("linux-1-1")
        assert cluster.audit.kills(place.namespace) == ()

        place.delete("linux-1-1", gracePeriodSeconds=0)

        ended = await cluster.audit.of("linux-1-1", place.namespace)
        assert (ended.cause, ended.how, ended.build_id) == ("Forced", "killed", build)
        assert cluster.audit.kills(place.namespace) == (ended,)

        await farm.worker("linux-1-2", grace=0.5)
        await farm.busy("linux-1-2")
        assert place.evict("linux-1-2").is_success
        handed_back = await cluster.audit.of("linux-1-2", place.namespace)
        assert (handed_back.cause, handed_back.how) == ("EvictionByEvictionAPI", "handed_back")
        assert handed_back.voluntary
        assert len(cluster.audit.kills(place.namespace)) == 2
        await farm.producer.cancel(build)


async def test_a_worker_that_is_idle_or_ends_its_job_within_its_grace_is_no_kill(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    async with pod_farm(tmp_path, place) as farm:
        await farm.worker("linux-1-1", grace=60)
        place.delete("linux-1-1")
        assert (await cluster.audit.of("linux-1-1", place.namespace)).how == "idle"

        await farm.worker("linux-1-2", grace=60)
        build = await farm.build("sleep 3")
        await farm.busy("linux-1-2")
        place.delete("linux-1-2", gracePeriodSeconds=60)
        finished = await cluster.audit.of("linux-1-2", place.namespace)
        assert (finished.cause, finished.how, finished.exit_code) == ("Deleted", "finished", 0)
        assert (await farm.producer.build(build)).status == "Succeeded"
        assert cluster.audit.kills(place.namespace) == ()
