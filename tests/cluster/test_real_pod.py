"""A build in a real pod: kubelet, containerd and runc run the worker's image, and its log is what containerd wrote."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bench.containers import free_port
from buildyard.cli.local import Farm
from buildyard.client import ProducerClient, ScalerClient
from tests import docker_engine, servers
from tests.cluster.addresses import REAL_NODE
from tests.cluster.names import Doors, Names
from tests.cluster.real_node import TAINT, RealNode, real_node
from tests.cluster.running import Cluster
from tests.contract.stores import new_bucket, s3_server
from tests.journey.yard import QUICK, Yard, until, zipped

pytestmark = pytest.mark.journey

WORKER = docker_engine.image("worker")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
POOL = """\
[pools.linux]
executor = "kubernetes"
policy = {{ max_workers = 1, idle_seconds = 1 }}
[pools.linux.kubernetes]
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
image = "{image}"
image_pull_policy = "Never"
requests = {{ cpu = "10m", memory = "64Mi" }}
limits = {{ memory = "1Gi" }}
grace_seconds = 20
node_selector = {{ "{taint}" = "true" }}
tolerations = [{{ key = "{taint}", operator = "Exists" }}]
[pools.linux.kubernetes.environment]
{variables}
"""
PROJECT = zipped(
    {
        "Makefile": (
            "all:\n\t@mkdir -p dist; id -u >dist/made.txt\n"
            "test:\n\t@grep -E '^(CapEff|Seccomp):' /proc/self/status; cat /proc/self/cgroup; "
            "! touch /usr/probe 2>/dev/null; echo refused to leave the pod\n"
        )
    }
)


@asynccontextmanager
async def yard_with(node: RealNode, cluster: Cluster, namespace: str, folder: Path, broker: str) -> AsyncIterator[Yard]:
    """A farm whose only pool has its pods on a real node; they find its servers by name."""
    doors, names = Doors(node.address), Names(node.address, ("producer", "rabbitmq", "objects"))
    amqp, port = urlsplit(broker), free_port()
    with s3_server() as endpoint:
        objects = f"s3://{new_bucket(endpoint)}/farm?region=us-east-1&endpoint="
        told = {
            **KEYS,
            "BUILDYARD_API_URL": f"http://producer:{port}",
            "BUILDYARD_BROKER_URL": amqp._replace(netloc=amqp.netloc.replace("127.0.0.1", "rabbitmq")).geturl(),
            "BUILDYARD_OBJECTS_URL": f"{objects}http://objects:{urlsplit(endpoint).port}",
        }
        pools = folder / "pools.toml"
        variables = "\n".join(f"{name} = {json.dumps(value)}" for name, value in told.items())
        pools.write_text(
            POOL.format(
                namespace=namespace, kubeconfig=cluster.kubeconfig, image=WORKER, taint=TAINT, variables=variables
            )
        )
        env = {
            **QUICK,
            **KEYS,
            "BUILDYARD_POOLS_FILE": str(pools),
            "BUILDYARD_BROKER_URL": broker,
            "BUILDYARD_OBJECTS_URL": f"{objects}{endpoint}",
            "BUILDYARD_ALLOWED_HOSTS": "producer",
        }
        await names.open()
        try:
            for behind in (port, amqp.port, urlsplit(endpoint).port):
                assert behind
                await doors.open(behind)
            async with (
                Farm(folder / "data", port=port, env=env, grace_seconds=10) as farm,
                ProducerClient(farm.api_url) as producer,
                ScalerClient(farm.scaler_url) as scaler,
            ):
                yield Yard(farm, producer, scaler, folder)
        finally:
            names.close()
            await doors.close()


@pytest.fixture
def node(cluster: Cluster) -> Iterator[RealNode]:
    with real_node(cluster, WORKER) as made:
        yield made


async def test_a_build_in_a_real_pod_returns_its_artifacts_and_the_pods_own_log(
    cluster: Cluster, node: RealNode, rabbitmq_4_url: str, tmp_path: Path
) -> None:
    with cluster.namespace() as namespace:
        async with yard_with(node, cluster, namespace, tmp_path, servers.with_prefix(rabbitmq_4_url)) as yard:
            build = await yard.submit(PROJECT)

            status = await yard.end(build)

            log = await yard.log(build)
            assert status.status == "Succeeded", f"{status.reason}\n{log}"
            assert "refused to leave the pod" in log
            assert "CapEff:\t0000000000000000" in log
            assert "kubepods" in log, "it is in the control group that the kubelet made"
            artifacts = await yard.verified(build, tmp_path / "out")
            assert artifacts["dist/made.txt"].read_text() == "10001\n"

            async def left() -> bool:
                return [one.state for one in (await yard.scaler.workers()).workers] == ["Exited"]

            await until(left)
            (worker,) = (await yard.scaler.workers()).workers
            assert (worker.name, worker.node, worker.exit_code) == ("linux-1-1", REAL_NODE, 0)
            async with aclosing(yard.scaler.worker_logs(worker.name)) as lines:
                told = [line async for line in lines]
            assert any("ready linux-1-1" in line for line in told), told
