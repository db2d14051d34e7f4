"""What the backing asks of the API server, through outages: every call is repeated until it is answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from tests.cluster.container import Pod
from tests.cluster.pod_status import Status, now

_PAUSE = 0.3
_WATCH_SECONDS = 30
_BOUND = "spec.nodeName!="
_PODS = "/api/v1/pods"


class Gone(Exception):
    """The object is not there any more, or another one has its name."""


class KubeletApi:
    """Pods and what belongs to them, as one node's kubelet reads and writes them."""

    def __init__(self, server: str, context: ssl.SSLContext) -> None:
        limits = httpx.Limits(max_connections=50)
        self._client = httpx.AsyncClient(base_url=server, verify=context, trust_env=False, timeout=10, limits=limits)

    async def close(self) -> None:
        await self._client.aclose()

    async def pods(self) -> AsyncGenerator[tuple[str, list[Pod]]]:
        """(`ALL`, every bound pod) at first and after every gap, then (`ADDED`, `MODIFIED` or `DELETED`, [the pod])."""
        while True:
            listed = await self._call("GET", _PODS, params={"fieldSelector": _BOUND})
            yield "ALL", listed["items"]
            version = listed["metadata"]["resourceVersion"]
            with contextlib.suppress(httpx.HTTPError, Gone):
                while True:
                    async for kind, found in self._watched(version):
                        version = found["metadata"]["resourceVersion"]
                        if kind != "BOOKMARK":
                            yield kind, [found]

    async def _watched(self, version: str) -> AsyncGenerator[tuple[str, Pod]]:
        """One watch, until the server ends it. Raises Gone when the version is too old."""
        parameters = {
            "watch": "1",
            "fieldSelector": _BOUND,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        async with self._client.stream("GET", _PODS, params=parameters, timeout=_WATCH_SECONDS + 10) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Gone
                yield event["type"], event["object"]

    async def find(self, kind: str, namespace: str, name: str) -> Pod | None:
        """A secret or config map."""
        try:
            return await self._call("GET", f"/api/v1/namespaces/{namespace}/{kind}/{name}")
        except Gone:
            return None

    async def report(self, pod: Pod, status: Status) -> None:
        """Write a pod's status. Raises Gone."""
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        headers = {"content-type": "application/strategic-merge-patch+json"}
        await self._call("PATCH", f"{_path(pod)}/status", content=json.dumps(patch), headers=headers)

    async def remove(self, pod: Pod) -> None:
        """Take a pod away whose process has ended. Raises Gone."""
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": pod["metadata"]["uid"]}}
        await self._call("DELETE", _path(pod), json=options)

    async def warn(self, pod: Pod, reason: str, message: str) -> None:
        """An event beside a pod, as kubelets write them: `FailedMount`, `Failed`."""
        meta = pod["metadata"]
        about = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "namespace": meta["namespace"]}
        at = now()
        event = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": {**about, "uid": meta["uid"]},
            "reason": reason,
            "message": message,
            "type": "Warning",
            "source": {"component": "kubelet", "host": pod["spec"]["nodeName"]},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        await self._call("POST", f"/api/v1/namespaces/{meta['namespace']}/events", json=event)

    async def _call(self, method: str, path: str, **more: Any) -> Pod:
        while True:
            try:
                answer = await self._client.request(method, path, **more)
            except httpx.HTTPError:
                await asyncio.sleep(_PAUSE)
                continue
            if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT, httpx.codes.FORBIDDEN}:
                raise Gone(answer.text)  # forbidden: its namespace is being taken down
            if answer.is_success:
                found: Pod = answer.json()
                return found
            if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                raise RuntimeError(f"{method} {path}: {answer.text}")
            await asyncio.sleep(_PAUSE)


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
