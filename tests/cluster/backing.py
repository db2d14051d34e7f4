"""What stands behind KWOK's nodes: every pod bound to one is run as a real process, as a kubelet would run containers.

`python -m tests.cluster.backing` follows the pods, starts each one's own command with its own environment, tells
the API server how it is, ends it with SIGTERM and, after its grace, SIGKILL when its pod is deleted or expires (at once
when the pod vanishes), and serves what it writes as the pod's log. It replaces a kubelet's runtime, not its details:
probes, resources, several containers and exec are not imitated. Who was busy when it was ended goes into the audit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.cluster.addresses import REAL_NODE
from tests.cluster.audit import Audit
from tests.cluster.certificates import client_context
from tests.cluster.container import Pod
from tests.cluster.kubelet_api import KubeletApi
from tests.cluster.pod_log import KNOWN, served
from tests.cluster.pod_process import PodProcess
from tests.cluster.stages import SIMULATED

_OVER = {"Succeeded", "Failed"}


class Backing:
    """All pods that have a node."""

    def __init__(self, api: KubeletApi, folder: Path, audit: Audit) -> None:
        self._api = api
        self._folder = folder / "pods"
        self._audit = audit
        self._pods: dict[str, PodProcess] = {}
        self._lives: set[asyncio.Task[None]] = set()

    async def follow(self) -> None:
        """Follow the pods for ever."""
        async for kind, pods in self._api.pods():
            if kind == "ALL":
                present = {pod["metadata"]["uid"] for pod in pods}
                for uid in self._pods.keys() - present:
                    self._pods.pop(uid).vanished()
            for pod in pods:
                if kind == "DELETED":
                    if gone := self._pods.pop(pod["metadata"]["uid"], None):
                        gone.vanished()
                else:
                    self._take(pod)

    def _take(self, pod: Pod) -> None:
        if SIMULATED in pod["metadata"].get("labels", {}) or pod["spec"].get("nodeName") == REAL_NODE:
            return
        known = self._pods.get(pod["metadata"]["uid"])
        if known is not None:
            known.told(pod)
        elif pod.get("status", {}).get("phase") not in _OVER:
            uid = pod["metadata"]["uid"]
            self._pods[uid] = PodProcess(pod, self._folder / uid, self._api, self._audit)
            life = asyncio.create_task(self._live(self._pods[uid]))
            self._lives.add(life)
            life.add_done_callback(self._lives.discard)

    async def _live(self, pod: PodProcess) -> None:
        try:
            await pod.live()
            while self._pods.get(pod.pod["metadata"]["uid"]) is pod:
                await pod.next_change()  # its log is served until the pod is removed
        finally:
            await asyncio.to_thread(pod.forget)

    def find(self, namespace: str, name: str) -> PodProcess | None:
        """The pod of this name, running or ended."""
        found = (one for one in self._pods.values() if one.pod["metadata"]["name"] == name)
        return next((one for one in found if one.pod["metadata"]["namespace"] == namespace), None)

    def close(self) -> None:
        """End every process."""
        running = [pod for pod in self._pods.values() if pod.runs]
        for pod in running:
            pod.kill()
        for pod in running:
            pod.kill_leftovers()


def log_server(backing: Backing) -> Starlette:
    """The part of a kubelet's API that `kubectl logs` needs."""

    async def logs(request: Request) -> Response:
        pod = backing.find(request.path_params["namespace"], request.path_params["pod"])
        if pod is None:
            return PlainTextResponse("the pod is not on this node", 404)
        if not pod.started:
            return PlainTextResponse(f"the container is waiting to start: {pod.waits_for}", 400)
        if unknown := {name for name, value in request.query_params.items() if value} - KNOWN:
            return PlainTextResponse(f"the backing does not know {', '.join(sorted(unknown))}", 400)
        return StreamingResponse(served(pod.log, request.query_params, lambda: pod.writes), media_type="text/plain")

    return Starlette(routes=[Route("/containerLogs/{namespace}/{pod}/{container}", logs)])


class _Server(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def run(given: argparse.Namespace) -> None:
    """Back pods until SIGTERM."""
    address, context = client_context(given.kubeconfig)
    api = KubeletApi(address, context)
    backing = Backing(api, given.folder, Audit(given.folder / "audit.jsonl"))
    server = _Server(
        uvicorn.Config(
            log_server(backing),
            host="127.0.0.1",
            port=given.port,
            log_level="warning",
            ssl_certfile=given.certificate,
            ssl_keyfile=given.key,
            ssl_ca_certs=str(given.authority),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve())
    following = asyncio.create_task(backing.follow())
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    try:
        leaving = asyncio.create_task(leave.wait())
        await asyncio.wait({serving, following, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.to_thread(backing.close)
        server.should_exit = True
        following.cancel()
        await asyncio.gather(serving, following, return_exceptions=True)
        await api.close()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.backing", description=__doc__)
    for name in ("kubeconfig", "folder", "certificate", "key", "authority"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True, help="of loopback, where logs are served")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
