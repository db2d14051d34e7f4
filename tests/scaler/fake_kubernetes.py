"""As much of an API server as its faults need: lists in pages, watches, merge patches, preconditions, logs.

What the real one does is tested against the real one (tests/cluster); here it can be made to fail in every way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from scaler.executors import kubernetes_connection, kubernetes_view

BORN = "2026-11-21T09:00:00Z"


def set_deadline(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """How long a call may take: long where a test is not about lateness, since a machine may stall."""
    defaults = kubernetes_connection.Connection.call.__kwdefaults__
    assert defaults is not None
    patch.setitem(defaults, "seconds", seconds)
    for module in (kubernetes_connection, kubernetes_view):
        patch.setattr(module, "CALL_SECONDS", seconds)


class FakeCluster:
    """Objects by kind and name; `faults` answer in place of the server as long as they return something."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"jobs": {}, "pods": {}, "events": {}, "leases": {}}
        self.history: list[tuple[int, str, str, dict[str, Any]]] = []
        self.version = 100
        self.oldest = 0
        """Watches from before it get 410."""
        self.calls: list[str] = []
        self.logs: dict[str, list[bytes]] = {}
        self.faults: list[Callable[[web.Request], web.Response | None]] = []
        self.hanging = False
        self.token = "secret"
        self._news = asyncio.Condition()
        self._cut = 0
        self.port = 0
        self._runner: web.AppRunner | None = None

    # ------------------------------------------------------------------------------------------------ from tests

    async def put(self, kind: str, raw: dict[str, Any], event: str = "") -> dict[str, Any]:
        name = raw["metadata"]["name"]
        self.version += 1
        known = name in self.objects[kind]
        raw["metadata"] = {"uid": f"uid-{name}", "creationTimestamp": BORN, **raw["metadata"]}
        raw["metadata"]["resourceVersion"] = str(self.version)
        event = event or ("MODIFIED" if known else "ADDED")
        if event == "DELETED":
            del self.objects[kind][name]
        else:
            self.objects[kind][name] = raw
        self.history.append((self.version, kind, event, json.loads(json.dumps(raw))))
        async with self._news:
            self._news.notify_all()
        return raw

    async def pod_of(self, job: str, **status: Any) -> dict[str, Any]:
        """The Job's pod as its template has it, with a status."""
        template = self.objects["jobs"][job]["spec"]["template"]
        metadata = {**template["metadata"], "name": f"{job}-pod", "creationTimestamp": BORN}
        spec = {**template["spec"], "nodeName": status.pop("node", "node-1")}
        return await self.put("pods", {"metadata": metadata, "spec": spec, "status": status})

    async def pod_runs(self, job: str) -> dict[str, Any]:
        return await self.pod_of(job, phase="Running", containerStatuses=[{"state": {"running": {}}}])

    async def pod_ends(self, job: str, exit_code: int) -> None:
        state = {"terminated": {"exitCode": exit_code, "reason": "Completed" if exit_code == 0 else "Error"}}
        phase = "Succeeded" if exit_code == 0 else "Failed"
        await self.pod_of(job, phase=phase, containerStatuses=[{"state": state}])

    async def cut_watches(self, *, forget: bool = False) -> None:
        """Close all watches; with `forget` none may be resumed."""
        self._cut += 1
        if forget:
            self.oldest = self.version
        async with self._news:
            self._news.notify_all()

    async def stop(self) -> None:
        """Refuse connections."""
        if self._runner is not None:
            await self.cut_watches()
            await self._runner.cleanup()
            self._runner = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert site._server is not None
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    def kubeconfig(self, folder: Path) -> str:
        file = folder / "kubeconfig"
        file.write_text(
            yaml.safe_dump(
                {
                    "current-context": "here",
                    "contexts": [{"name": "here", "context": {"cluster": "fake", "user": "scaler"}}],
                    "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
                    "users": [{"name": "scaler", "user": {"token": self.token}}],
                }
            )
        )
        return str(file)

    def count(self, method: str, ending: str) -> int:
        return sum(call.startswith(method) and call.split("?")[0].endswith(ending) for call in self.calls)

    # ------------------------------------------------------------------------------------------------ answering

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path_qs}")
        while self.hanging:
            await asyncio.sleep(0.02)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _refused(401, "Unauthorized", "Unauthorized")
        for fault in self.faults:
            if (answer := fault(request)) is not None:
                return answer
        parts = request.path.split("/namespaces/n/")[1].split("/")
        return await (self._of_all(request, parts[0]) if len(parts) == 1 else self._of_one(request, parts))

    async def _of_all(self, request: web.Request, kind: str) -> web.StreamResponse:
        if request.method == "POST":
            return await self._create(kind, await request.json())
        return await self._watch(request, kind) if request.query.get("watch") == "true" else self._list(request, kind)

    async def _of_one(self, request: web.Request, parts: list[str]) -> web.StreamResponse:
        found = self.objects[parts[0]].get(parts[1])
        if found is None:
            return _refused(404, "NotFound", f'{parts[0]} "{parts[1]}" not found')
        if parts[2:] == ["log"]:
            return await self._log(request, parts[1])
        if request.method == "GET":
            return web.json_response(found)
        return await self._change(request.method, parts[0], found, await request.json())

    def _list(self, request: web.Request, kind: str) -> web.Response:
        chosen = [raw for _, raw in sorted(self.objects[kind].items()) if _matches(raw, request.query)]
        limit, begin = int(request.query.get("limit", 10**9)), int(request.query.get("continue", 0))
        metadata = {"resourceVersion": str(self.version)}
        if begin + limit < len(chosen):
            metadata["continue"] = str(begin + limit)
        return web.json_response({"metadata": metadata, "items": chosen[begin : begin + limit]})

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        seen, cut = int(request.query["resourceVersion"]), self._cut
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            if seen < self.oldest:
                status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
                await answer.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
                return answer
            while self._cut == cut:
                for version, of, event, raw in [*self.history]:
                    if version > seen and of == kind and _matches(raw, request.query):
                        await answer.write(json.dumps({"type": event, "object": raw}).encode() + b"\n")
                seen = self.version
                async with self._news:
                    while self.version == seen and self._cut == cut:
                        await self._news.wait()
        return answer

    async def _create(self, kind: str, raw: dict[str, Any]) -> web.Response:
        name = raw["metadata"]["name"]
        if name in self.objects[kind]:
            return _refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        return web.json_response(await self.put(kind, raw), status=201)

    async def _change(self, method: str, kind: str, found: dict[str, Any], body: dict[str, Any]) -> web.Response:
        wanted = body.get("preconditions") or body.get("metadata") or {}
        for key in ("uid", "resourceVersion"):
            if wanted.get(key, found["metadata"][key]) != found["metadata"][key]:
                return _refused(409, "Conflict", "the object has been modified")
        if method == "DELETE":
            return web.json_response(await self.put(kind, found, "DELETED"))
        return web.json_response(await self.put(kind, body if method == "PUT" else _merged(found, body)))

    async def _log(self, request: web.Request, pod: str) -> web.StreamResponse:
        told = self.logs.get(pod, [])
        begin = max(0, len(told) - int(request.query.get("tailLines", len(told))))
        if since := request.query.get("sinceTime"):
            begin = next((n for n, line in enumerate(told) if line.decode() >= since[:19]), len(told))
        answer, cut = web.StreamResponse(), self._cut
        await answer.prepare(request)
        with suppress(ConnectionError):
            await answer.write(b"".join(told[begin:]))
            sent = len(told)
            while request.query.get("follow") == "true" and self._cut == cut:
                phase = self.objects["pods"][pod]["status"]["phase"]
                await answer.write(b"".join(told[sent:]))
                sent = len(told)
                if phase != "Running":
                    break
                await asyncio.sleep(0.01)
        return answer


@asynccontextmanager
async def fake_cluster() -> AsyncIterator[FakeCluster]:
    cluster = FakeCluster()
    await cluster.start()
    try:
        yield cluster
    finally:
        cluster.hanging = False
        await cluster.stop()


def _refused(status: int, reason: str, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": status, "reason": reason, "message": message}, status=status)


def refusing(status: int, reason: str, message: str, *, method: str = "", path: str = "", times: int = 10**6) -> Any:
    """A fault for `faults`: the next `times` calls that match are refused."""
    left = [times]

    def fault(request: web.Request) -> web.Response | None:
        if left[0] <= 0 or (method and request.method != method) or path not in request.path:
            return None
        left[0] -= 1
        return _refused(status, reason, message)

    return fault


def _matches(raw: dict[str, Any], query: Any) -> bool:
    labels = raw["metadata"].get("labels") or {}
    wanted = [one.split("=", 1) for one in query.get("labelSelector", "").split(",") if one]
    return all(labels.get(key) == value for key, value in wanted)


def _merged(found: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    merged = dict(found)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged
