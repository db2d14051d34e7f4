"""Strikes at what only a cluster has: its API server, its nodes and pods, and who leads of two scalers."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx

from chaos.cluster_site import API_SERVER, Site, TwinFarm
from chaos.plan import Fault, Strike
from chaos.processes import tell
from scaler.executors.kubernetes_job import WORKER

_NODE_CPU = 64
_AGAIN_SECONDS = 0.5
_READY_SECONDS = 60.0
_PREEMPTED_SECONDS = 60.0
_WAIT_FOR_POD_SECONDS = 60.0
_MERGE = {"content-type": "application/merge-patch+json"}
_ENDED = {"Succeeded", "Failed"}


class ClusterStriker:
    """Strikes at one site and its farm."""

    def __init__(self, site: Site, farm: TwinFarm) -> None:
        self._site = site
        self._farm = farm

    def acts(self) -> dict[Fault, Callable[[Strike], Awaitable[str | None]]]:
        """What each kind of strike does; each returns its victim, None where it found none."""
        return {
            Fault.STOP_API: lambda strike: self._api_away("stop", "start", strike),
            Fault.HANG_API: lambda strike: self._api_away("freeze", "thaw", strike),
            Fault.KILL_LEADER: self._kill_leader,
            Fault.FREEZE_LEADER: self._freeze_leader,
            Fault.SECOND_LEADER: self._second_leader,
            Fault.CHANGE_SPEC: self._change_spec,
            Fault.DRAIN_NODE: self._drain_node,
            Fault.PREEMPT: self._preempt,
            Fault.FORCE_DELETE: self._force_delete,
        }

    # ---------------------------------------------------------------- the API server

    async def _api_away(self, down: str, up: str, strike: Strike) -> str:
        """It ends when the server answers again, not when it is started."""
        async with self._site.outage():
            await self._site.control(down, API_SERVER)
            try:
                await asyncio.sleep(strike.seconds)
            finally:
                await self._site.control(up, API_SERVER)
            await self._site.answers()
        return API_SERVER

    # ---------------------------------------------------------------- who leads

    async def _kill_leader(self, _: Strike) -> str | None:
        leader = await self._site.leader()
        if leader is None:
            return None
        tell(leader, signal.SIGKILL)
        return f"process {leader}"

    async def _freeze_leader(self, strike: Strike) -> str | None:
        leader = await self._site.leader()
        if leader is None:
            return None
        tell(leader, signal.SIGSTOP)
        try:
            await asyncio.sleep(strike.seconds)
        finally:
            tell(leader, signal.SIGCONT)
        return f"process {leader}"

    async def _second_leader(self, strike: Strike) -> str | None:
        """A third scaler that asks nobody whether it may lead."""
        folder = self._farm.data_dir.parent / f"second-{strike.at:g}"
        folder.mkdir()
        env = {
            **self._farm.scaler_environment,
            "BUILDYARD_LEADER_URL": "none:",
            "BUILDYARD_SCALER_PORT": "0",
            "BUILDYARD_DATA_DIR": str(folder),
            "BUILDYARD_OBJECTS_URL": f"file://{self._farm.data_dir / 'objects'}",
        }
        with (self._farm.logs / "scaler-second.log").open("ab") as log:
            second = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "scaler"), env=env, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert second.stdout is not None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_READY_SECONDS):
                    if not (await second.stdout.readline()).startswith(b"ready"):
                        return None
            await asyncio.sleep(strike.seconds)
        finally:
            with suppress(ProcessLookupError):
                second.terminate()
            await second.communicate()
        return f"process {second.pid}"

    async def _change_spec(self, _: Strike) -> str:
        """As a rollout does it: the file first, then one scaler after the other."""
        self._site.spec += 1
        self._site.write_pools()
        for part in self._farm.scalers:
            before, pid = part.restarts, part.pid
            if pid is None:
                continue
            tell(pid, signal.SIGTERM)
            async with asyncio.timeout(_READY_SECONDS):
                while part.restarts == before:
                    await asyncio.sleep(0.05)
        return f"spec v{self._site.spec}"

    # ---------------------------------------------------------------- nodes and pods

    async def _drain_node(self, strike: Strike) -> str | None:
        """Cordon a node with workers and ask again and again for the eviction of each, as `kubectl drain` does."""
        victim = await self._pod(strike.pick)
        if victim is None:
            return None
        node = victim["spec"]["nodeName"]
        loop = asyncio.get_running_loop()
        until = loop.time() + strike.seconds
        await self._cordon(node, cordoned=True)
        try:
            while loop.time() < until:
                for pod in await self._running():
                    if pod["spec"]["nodeName"] == node:
                        await self._evict(pod)
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await self._cordon(node, cordoned=False)
        return str(node)

    async def _evict(self, pod: dict[str, Any]) -> None:
        name, namespace = pod["metadata"]["name"], self._site.namespace
        asked = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": pod["metadata"]["uid"]}},
        }
        answer = await self._site.api.post(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", json=asked)
        refused = {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}
        if answer.status_code not in refused:
            answer.raise_for_status()

    async def _cordon(self, node: str, *, cordoned: bool) -> None:
        body = f'{{"spec": {{"unschedulable": {str(cordoned).lower()}}}}}'
        (await self._site.api.patch(f"/api/v1/nodes/{node}", content=body, headers=_MERGE)).raise_for_status()

    async def _preempt(self, strike: Strike) -> str | None:
        """A pod of a higher class asks for the place of one worker on a full node."""
        victim = await self._pod(strike.pick)
        if victim is None:
            return None
        api, namespace = self._site.api, self._site.namespace
        urgent, node = f"urgent-{namespace}", victim["spec"]["nodeName"]
        here = [pod for pod in await self._running() if pod["spec"]["nodeName"] == node]
        made = {"metadata": {"name": urgent}, "value": 1_000_000}
        classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
        (await api.post(classes, json=made)).raise_for_status()
        container = {
            "name": "main",
            "image": "example.test/urgent:1",
            "command": ["sleep", "600"],
            "resources": {"requests": {"cpu": str(_NODE_CPU - len(here) + 1)}},
        }
        spec = {
            "priorityClassName": urgent,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [container],
            "terminationGracePeriodSeconds": 1,
        }
        pods = f"/api/v1/namespaces/{namespace}/pods"
        try:
            (await api.post(pods, json={"metadata": {"name": urgent}, "spec": spec})).raise_for_status()
            return await self._preempted()
        finally:
            await api.request("DELETE", f"{pods}/{urgent}", json={"gracePeriodSeconds": 0})
            await api.request("DELETE", f"{classes}/{urgent}")

    async def _preempted(self) -> str | None:
        """The worker that had to go."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PREEMPTED_SECONDS):
                while True:
                    for pod in await self._site.pods():
                        conditions = pod["status"].get("conditions") or ()
                        if any(one.get("reason") == "PreemptionByScheduler" for one in conditions):
                            return str(pod["metadata"]["labels"][WORKER])
                    await asyncio.sleep(0.05)
        return None

    async def _force_delete(self, strike: Strike) -> str | None:
        victim = await self._pod(strike.pick)
        if victim is None:
            return None
        path = f"/api/v1/namespaces/{self._site.namespace}/pods/{victim['metadata']['name']}"
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": victim["metadata"]["uid"]}}
        answer = await self._site.api.request("DELETE", path, json=options)
        return str(victim["metadata"]["labels"][WORKER]) if answer.is_success else None

    async def _running(self) -> list[dict[str, Any]]:
        pods = [pod for pod in await self._site.pods() if pod["spec"].get("nodeName")]
        return [pod for pod in pods if pod["status"].get("phase") not in _ENDED]

    async def _pod(self, pick: float) -> dict[str, Any] | None:
        """A worker's pod that runs and is not on its way out; where there is none, wait a while for one."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _WAIT_FOR_POD_SECONDS
        while loop.time() < until:
            found = [
                pod
                for pod in await self._running()
                if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
            ]
            if found:
                return found[int(pick * len(found))]
            await asyncio.sleep(_AGAIN_SECONDS)
        return None
