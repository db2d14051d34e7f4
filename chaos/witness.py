"""What is written down beside a run on a cluster: every change of Jobs and pods, every decision, every alarm.

A watch goes on where it ended, also after an outage, so that no change is missed. The clock is this process's own.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx

from buildyard.client import ScalerClient
from buildyard.contracts.scaling import Decision, Trust
from buildyard.errors import BuildyardError
from chaos.crowd import Change
from scaler.executors.kubernetes_job import WORKER
from scaler.executors.kubernetes_pods import job_sight, pod_sight

_PAUSE = 0.1
_WATCH_SECONDS = 30
_PAGE = 200
_ALARM = re.compile(r"^cut_leases_total\{.*\} ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Tick:
    """A decision: when, by which scaler, whom it started and drained, and what it could not know."""

    at: datetime
    scaler: int
    number: int
    code: str
    start: tuple[str, ...]
    drain: tuple[str, ...]
    saw_workers: bool
    unknown: frozenset[str]
    """Names of the counts that were UNKNOWN."""


@dataclass
class Witness:
    """Everything that was seen of one namespace, its scalers and its producers."""

    api: httpx.AsyncClient
    namespace: str
    changes: list[Change] = field(default_factory=list)
    ticks: dict[tuple[int, int], Tick] = field(default_factory=dict)
    alarms: float = 0.0
    """By how much the metric of cut leases grew, on all producers."""

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow Jobs and pods for the length of the block."""
        base = f"namespaces/{self.namespace}"
        async with _beside(self._follow(f"/apis/batch/v1/{base}/jobs"), self._follow(f"/api/v1/{base}/pods")):
            yield

    @asynccontextmanager
    async def watching(self, scalers: Iterable[str], producers: Iterable[str]) -> AsyncIterator[None]:
        """Read decisions and alarms for the length of the block."""
        async with _beside(
            *(self._read_decisions(number, url) for number, url in enumerate(scalers)),
            *(self._read_alarms(url) for url in producers),
        ):
            yield

    # ---------------------------------------------------------------- the cluster

    async def _follow(self, path: str) -> None:
        """A server that was started anew keeps nothing of before: then what there is now is listed."""
        version, known = "", dict[str, Change]()
        while True:
            with suppress(httpx.HTTPError):
                version = version or await self._list(path, known)
                version = await self._watch(path, version, known)
            await asyncio.sleep(_PAUSE)

    async def _list(self, path: str, known: dict[str, Change]) -> str:
        answer = (await self.api.get(path, params={"labelSelector": WORKER})).raise_for_status().json()
        version: str = answer["metadata"]["resourceVersion"]
        for raw in answer["items"]:
            self._note(raw, known, gone=False)
        present = {raw["metadata"]["uid"] for raw in answer["items"]}
        for uid in known.keys() - present:
            self.changes.append(replace(known.pop(uid), version=int(version), gone=True))
        return version

    async def _watch(self, path: str, version: str, known: dict[str, Change]) -> str:
        """One watch; returns where the next one goes on, empty: with a list."""
        reached = version
        with suppress(httpx.HTTPError):
            query = {
                "watch": "1",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "labelSelector": WORKER,
                "timeoutSeconds": str(_WATCH_SECONDS),
            }
            async with self.api.stream("GET", path, params=query, timeout=_WATCH_SECONDS + 10) as answer:
                if answer.status_code == httpx.codes.GONE:
                    return ""
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return ""
                    reached = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._note(event["object"], known, gone=event["type"] == "DELETED")
        return reached

    def _note(self, raw: dict[str, Any], known: dict[str, Change], *, gone: bool) -> None:
        version = int(raw["metadata"]["resourceVersion"])
        job = job_sight(raw) if "template" in raw["spec"] else None
        pod = pod_sight(raw) if "template" not in raw["spec"] else None
        if job is not None:
            change = Change(version, "job", job.name, job.uid, job.name, gone, bool(job.finished))
        elif pod is not None:
            ended = pod.over and not pod.disrupted
            change = Change(version, "pod", pod.name, pod.uid, pod.worker, gone, ended, pod.exit_code)
        else:
            return
        self.changes.append(change)
        if gone:
            known.pop(change.uid, None)
        else:
            known[change.uid] = change

    # ---------------------------------------------------------------- the farm

    async def _read_decisions(self, number: int, url: str) -> None:
        since = 0
        async with ScalerClient(url) as scaler:
            while True:
                with suppress(BuildyardError):
                    found = (await scaler.decisions(limit=_PAGE, since=since or None)).decisions
                    for decision in found:
                        self.ticks.setdefault((number, decision.number), _tick(number, decision))
                    since = max([since, *(decision.number for decision in found)])
                await asyncio.sleep(_PAUSE)

    async def _read_alarms(self, url: str) -> None:
        """The counter begins anew with its process."""
        last = 0.0
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as producer:
            while True:
                with suppress(httpx.HTTPError):
                    page = (await producer.get("/metrics")).raise_for_status().text
                    now = sum(float(count) for count in _ALARM.findall(page))
                    self.alarms += now - last if now >= last else now
                    last = now
                await asyncio.sleep(5 * _PAUSE)


def _tick(scaler: int, decision: Decision) -> Tick:
    observed = decision.observed
    counts = {
        "ready": observed.ready,
        "leases": observed.leases,
        "queue ready": observed.queue_ready,
        "queue unacked": observed.queue_unacked,
        "queue total": observed.queue_total,
    }
    return Tick(
        at=decision.at,
        scaler=scaler,
        number=decision.number,
        code=decision.plan.code.value,
        start=decision.plan.start,
        drain=decision.plan.drain,
        saw_workers=observed.workers is not None,
        unknown=frozenset(name for name, reading in counts.items() if reading.trust is Trust.UNKNOWN),
    )


@asynccontextmanager
async def _beside(*works: Any) -> AsyncIterator[None]:
    """Run these for the length of the block; one that fails is told in the end, never passed over."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
