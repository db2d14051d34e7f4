"""A farm on a throwaway control plane: real producer, scaler and API server, and pods that KWOK plays by itself.

The scaler has the account and the rights of the manifests, so the API server's own audit log tells what it asked, and
when: that log is what all figures of calls are read from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TextIO

from bench.farms import Setting, farm, settings
from bench.figures import NotMeasured
from buildyard.cli.local import Farm
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import BuildProperties
from tests.cluster import account
from tests.cluster.building import NotBuilt, programs
from tests.cluster.objects import Place
from tests.cluster.running import KUBECONFIG, Cluster, cluster
from tests.cluster.stages import SIMULATED

_SUBMITTED_AT_ONCE = 32
_TOKEN_SECONDS = 6 * 3600


class Request(NamedTuple):
    """A call as the API server wrote it down: when it came (seconds since 1970), what it asked for, the answer."""

    at: float
    verb: str
    what: str
    name: str
    code: int


class Requests:
    """What one namespace's scaler asks from now on."""

    def __init__(self, log: TextIO, namespace: str) -> None:
        self._log = log
        self._who = f"system:serviceaccount:{namespace}:scaler"
        self._rest = ""

    def read(self) -> list[Request]:
        """Those that were answered since the last time; a watch counts when it begins."""
        *lines, self._rest = (self._rest + self._log.read()).split("\n")
        events = (json.loads(line) for line in lines if self._who in line)
        return [
            Request(
                datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp(),
                event["verb"],
                "/".join(filter(None, (event["objectRef"]["resource"], event["objectRef"].get("subresource")))),
                event["objectRef"].get("name", ""),
                event["responseStatus"]["code"],
            )
            for event in events
            if event["user"]["username"] == self._who
            and "namespace" in event.get("objectRef", {})
            and event["stage"] == ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete")
        ]


@dataclass(frozen=True)
class Ground:
    """A namespace with the scaler's account in it."""

    cluster: Cluster
    place: Place
    kubeconfig: Path

    @contextmanager
    def requests(self) -> Iterator[Requests]:
        """What the scaler asks from now on."""
        with (self.cluster.folder / "requests.log").open(encoding="utf-8") as log:
            log.seek(0, 2)
            yield Requests(log, self.place.namespace)

    def pool(self, name: str, policy: Mapping[str, object]) -> str:
        """A pool as TOML. Its pods run, without a process, until they are told to end."""
        table = {
            "namespace": self.place.namespace,
            "kubeconfig": str(self.kubeconfig),
            "image": "buildyard-worker:test",
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"memory": "64Mi"},
            "labels": {SIMULATED: "true"},
            "grace_seconds": 1,
        }
        return "\n".join(
            [
                f"[pools.{name}.policy]",
                *(f"{key} = {_toml(value)}" for key, value in policy.items()),
                f'[pools.{name}]\nexecutor = "kubernetes"\n[pools.{name}.kubernetes]',
                *(f"{key} = {_toml(value)}" for key, value in table.items()),
                "",
            ]
        )


@dataclass(frozen=True)
class Yard:
    """A farm whose workers are Jobs in a namespace."""

    ground: Ground
    farm: Farm
    producer: ProducerClient
    setting: Setting
    pools_file: Path

    @property
    def broker_url(self) -> str:
        """Where its tickets are."""
        return self.setting.env.get("BUILDYARD_BROKER_URL") or f"sqlite:///{self.farm.data_dir / 'broker.sqlite'}"

    async def submit(self, builds: int, pool: str = "linux") -> list[str]:
        """So many builds, each of one job; their ids. Nobody ever looks at their repository."""
        room = asyncio.Semaphore(_SUBMITTED_AT_ONCE)
        job = BuildProperties(project_name="bench", repository_url="https://github.com/buildyard/bench.git")
        request = BuildRequest(job=job, target_pool=pool)

        async def submit() -> str:
            async with room:
                return (await self.producer.submit(request)).execution_id

        return list(await asyncio.gather(*(submit() for _ in range(builds))))


@contextmanager
def throwaway(nodes: int) -> Iterator[Cluster]:
    """A control plane for the length of the block. Raises NotMeasured where there can be none."""
    try:
        programs()
    except NotBuilt as error:
        raise NotMeasured(str(error)) from error
    with cluster(nodes) as made:
        if not (made.folder / "control").exists():
            raise NotMeasured(f"{KUBECONFIG} names a cluster whose API server does not write down what is asked of it")
        yield made


@contextmanager
def ground(on: Cluster, folder: Path) -> Iterator[Ground]:
    """A namespace of its own, with an account for the scaler; its kubeconfig is written into the folder."""
    with on.namespace() as namespace, on.client() as api:
        place = Place(api, namespace)
        account.make_account(place)
        file = folder / f"{namespace}.kubeconfig"
        file.touch(mode=0o600)
        file.write_text(account.kubeconfig(on, account.token(place, _TOKEN_SECONDS)))
        yield Ground(on, place, file)


@asynccontextmanager
async def yard(on: Ground, pools: str, setting: Setting) -> AsyncIterator[Yard]:
    """A farm with these pools for the length of the block."""
    async with farm(setting, pools=pools) as running, ProducerClient(running.api_url) as producer:
        yield Yard(on, running, producer, setting, running.data_dir.parent / "pools.toml")


def best_setting() -> Setting:
    """RabbitMQ and PostgreSQL where they are, else the embedded ones."""
    return settings()[-1]


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
