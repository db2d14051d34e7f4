"""The farm on a throwaway cluster: two producers behind one address, two scalers with one Lease, workers as Jobs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from buildyard.cli.farm_lock import MARKER, FarmRecord
from buildyard.cli.local import Farm, Part, held_port
from buildyard.errors import ProducerUnavailable, ScalerUnavailable
from chaos.proxy import proxied
from chaos.witness import Witness
from scaler.executors.kubernetes_job import WORKER, disruption_budget
from tests.cluster.certificates import client_context
from tests.cluster.running import Cluster

LEASE = "scaler"
API_SERVER = "kube-apiserver"
_HOST = "127.0.0.1"
_HOLDER = re.compile(r"\(process (\d+) on ")
_POOL = """\
[pools.linux]
executor = "kubernetes"
[pools.linux.policy]
max_workers = {most}
burst_threshold = 20
burst_size = 5
idle_seconds = 5
[pools.linux.kubernetes]
namespace = "{namespace}"
kubeconfig = "{kubeconfig}"
image = "buildyard-worker:test"
command = {command}
requests = {{ cpu = "1", memory = "64Mi" }}
limits = {{ memory = "1Gi" }}
grace_seconds = 20
labels = {{ spec = "{spec}" }}
[pools.linux.kubernetes.environment]
BUILDYARD_GIT_LOCAL_ROOTS = "{git}"
"""


class TwinFarm(Farm):
    """A farm with two of each process. Its address is the one that stands before both producers."""

    def __init__(self, data_dir: Path, ports: tuple[int, ...], url: str, **more: Any) -> None:
        super().__init__(data_dir, **more)
        self._own_ports = ports
        self._url = url
        self.scaler_urls: tuple[str, ...] = ()
        self.producer_urls: tuple[str, ...] = ()
        self.scaler_environment: dict[str, str] = {}

    def _prepare(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.data_dir / "objects").mkdir(exist_ok=True)  # what is there when a pod begins is not moved into the pod
        ports = self._own_ports
        self.producer_urls = tuple(f"http://{_HOST}:{port}" for port in ports[:2])
        self.scaler_urls = tuple(f"http://{_HOST}:{port}" for port in ports[2:])
        self.api_url, self.scaler_url = self._url, self.scaler_urls[0]
        self._lock.write(FarmRecord(self._farm_id, os.getpid(), self.api_url, self.scaler_url))
        env = {
            **self._env,
            MARKER: self._farm_id,
            "BUILDYARD_DATA_DIR": str(self.data_dir),
            "BUILDYARD_HOST": _HOST,
            "BUILDYARD_API_URL": self.api_url,
            "BUILDYARD_SCALER_URL": self.scaler_url,
            "BUILDYARD_GRACE_SECONDS": str(self._grace),
        }
        self.scaler_environment = env
        producer = ("producer", ("orchestrator",), "BUILDYARD_PORT", ProducerUnavailable)
        scaler = ("scaler", ("scaler",), "BUILDYARD_SCALER_PORT", ScalerUnavailable)
        kinds = (producer, scaler, producer, scaler)
        self._parts = [
            Part(
                kind,
                words,
                self.logs / f"{kind}.log{number}",
                {**env, variable: str(port)},
                failed,
                self._say,
            )
            for (kind, words, variable, failed), port, number in zip(
                kinds, (ports[0], ports[2], ports[1], ports[3]), ("", "", "-2", "-2"), strict=True
            )
        ]

    @property
    def producers(self) -> tuple[Part, ...]:
        """Both."""
        return (self._parts[0], self._parts[2])

    @property
    def scalers(self) -> tuple[Part, ...]:
        """Both."""
        return (self._parts[1], self._parts[3])

    @property
    def restarts(self) -> int:
        """How often a process ended and was started again."""
        return sum(part.restarts for part in self._parts)


@dataclass
class Site:
    """The cluster as a run uses it: a namespace of its own, in which `most` workers may be."""

    cluster: Cluster
    namespace: str
    most: int
    pools: Path
    api: httpx.AsyncClient
    witness: Witness
    spec: int = 1
    _outage: asyncio.Lock = field(default_factory=asyncio.Lock)

    def write_pools(self) -> None:
        """Write the pools file, of which `spec` is one label."""
        command = json.dumps([sys.executable, "-P", "-m", "worker"])
        self.pools.write_text(
            _POOL.format(
                most=self.most,
                namespace=self.namespace,
                kubeconfig=self.cluster.kubeconfig,
                command=command,
                spec=f"v{self.spec}",
                git=self.pools.parent / "repositories",
            )
        )

    async def leader(self) -> int | None:
        """The process number of the scaler that holds the Lease."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{LEASE}"
        try:
            answer = await self.api.get(path)
            holder = str(answer.raise_for_status().json()["spec"].get("holderIdentity"))
        except (httpx.HTTPError, KeyError):
            return None
        match = _HOLDER.search(holder)
        return int(match[1]) if match else None

    async def pods(self) -> list[dict[str, Any]]:
        """The workers' pods, as objects."""
        answer = await self.api.get(f"/api/v1/namespaces/{self.namespace}/pods", params={"labelSelector": WORKER})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["items"]
        return items

    async def control(self, verb: str, part: str) -> None:
        """Stop, start, freeze or thaw a part of the control plane."""
        await asyncio.to_thread(self.cluster.control, verb, part)

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """One outage of the API server at a time."""
        async with self._outage:
            yield

    async def answers(self) -> None:
        """Return when the API server answers."""
        while True:
            try:
                if (await self.api.get("/readyz", timeout=1)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_site(cluster: Cluster, folder: Path, most: int) -> AsyncIterator[Site]:
    """A namespace for the length of the block; its Jobs and pods are followed meanwhile."""
    with cluster.namespace() as namespace, cluster.client() as plain:
        budget = disruption_budget(namespace, "buildyard")
        plain.post(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", json=budget).raise_for_status()
        server, context = client_context(cluster.kubeconfig)
        async with httpx.AsyncClient(base_url=server, verify=context, trust_env=False, timeout=30) as api:
            witness = Witness(api, namespace)
            site = Site(cluster, namespace, most, folder / "pools.toml", api, witness)
            site.write_pools()
            async with witness.following():
                yield site


@asynccontextmanager
async def twin_farm(
    site: Site, folder: Path, env: Mapping[str, str], say: Callable[[str], None]
) -> AsyncIterator[TwinFarm]:
    """The farm, whose workers are the site's; all of it runs for the length of the block."""
    more = {
        **env,
        "BUILDYARD_POOLS_FILE": str(site.pools),
        "BUILDYARD_LEADER_URL": f"lease:{site.namespace}/{LEASE}",
        "KUBECONFIG": str(site.cluster.kubeconfig),
    }
    with _ports(4) as ports:
        async with proxied(_HOST, *ports[:2]) as service:
            farm = TwinFarm(
                folder / "data", ports, f"http://{_HOST}:{service.port}", env=more, grace_seconds=10, say=say
            )
            async with farm, site.witness.watching(farm.scaler_urls, farm.producer_urls):
                yield farm


@contextmanager
def _ports(count: int) -> Iterator[tuple[int, ...]]:
    held = [held_port(_HOST) for _ in range(count)]
    try:
        yield tuple(port for port, _ in held)
    finally:
        for _, holder in held:
            if holder is not None:
                holder.close()
