"""A whole farm whose workers are pods: a burst, builds that finish undisturbed, and an end in good order."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.scaling import DecisionCode
from tests.cluster.running import Cluster
from tests.journey.yard import Yard, make_project, open_yard, until

pytestmark = pytest.mark.journey

BUILDS = 44
POOL = """\
max_workers = 7
burst_threshold = 40
burst_size = 5
idle_seconds = 1
[pools.linux]
executor = "kubernetes"
[pools.linux.kubernetes]
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
image = "buildyard-worker:test"
command = {command}
requests = {{ cpu = "10m", memory = "16Mi" }}
grace_seconds = 20
"""


async def workers_of(yard: Yard) -> tuple[WorkerInfo, ...]:
    return (await yard.scaler.workers()).workers


def pods_of(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The pods by name, with their uids."""
    with cluster.client() as api:
        items = api.get(f"/api/v1/namespaces/{namespace}/pods").json()["items"]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in items}


async def test_a_burst_of_pods_builds_what_waits_and_no_busy_pod_is_touched(cluster: Cluster, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    command = json.dumps([sys.executable, "-P", "-m", "worker"])
    project = make_project(f"while test ! -e {gate}; do sleep 0.1; done; echo built by $$BUILDYARD_AGENT")
    with cluster.namespace() as namespace:
        pool = POOL.format(namespace=namespace, kubeconfig=cluster.kubeconfig, command=command)
        async with open_yard(tmp_path, {}, pool) as yard:
            builds = await asyncio.gather(*(yard.submit(project) for _ in range(BUILDS)))
            assert 0 < await yard.decided(DecisionCode.BURST) <= 5

            async def all_busy() -> bool:
                return sum(worker.state == "Busy" for worker in await workers_of(yard)) == 7

            await until(all_busy)
            before = pods_of(cluster, namespace)
            assert len(before) == 7
            assert all(worker.node.startswith("node-") for worker in await workers_of(yard))

            gate.touch()
            ended = await asyncio.gather(*(yard.end(build) for build in builds))

            assert {build.status for build in ended} == {"Succeeded"}
            assert "built by linux-" in await yard.log(builds[0])
            assert before.items() <= pods_of(cluster, namespace).items()
            assert cluster.audit.kills(namespace) == ()

            async def all_left() -> bool:
                return all(worker.state == "Exited" for worker in await workers_of(yard))

            await until(all_left)
            assert {worker.exit_code for worker in await workers_of(yard)} == {0}
