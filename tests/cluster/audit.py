"""Who was ended while it was busy: one line of JSON for every backed process that did not end by itself.

The backing writes a line when a pod's process is ended from outside (its pod was deleted, evicted, preempted, is past
its deadline, or vanished). It asks the worker's own producer, at that moment, whether the worker holds a lease. A
kill is an entry whose lease was live and whose attempt did not end by itself afterwards; a producer that cannot be
asked counts as a kill too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from buildyard.contracts.builds import Outcome

PATIENCE = 60.0
_SETTLE_SECONDS = 20.0
"""So long the report of a finished attempt may take to reach the producer's store."""
_VOLUNTARY = {"EvictionByEvictionAPI", "DeletionByTaintManager"}

How = Literal["finished", "handed_back", "killed", "idle", "unknown", "no_worker"]
_UNFINISHED: dict[str, How] = {Outcome.HANDED_BACK.wire: "handed_back", Outcome.LOST.wire: "killed"}


@dataclass(frozen=True)
class Ended:
    """One process that was ended from outside.

    `cause`: `Deleted`, `Forced` (without any grace), `DeadlineExceeded`, or the reason of the pod's
    condition DisruptionTarget, such as `EvictionByEvictionAPI` or `PreemptionByScheduler`.
    `how`: `finished` (its job ended within the grace), `handed_back`, `killed`, `idle` (it had no job), `unknown` (its
    producer gave no answer), `no_worker` (no agent of a farm).
    """

    namespace: str
    pod: str
    agent: str
    cause: str
    exit_code: int
    how: How
    build_id: str = ""
    job_id: str = ""

    @property
    def kill(self) -> bool:
        """Whether a live lease was cut off."""
        return self.how in {"handed_back", "killed", "unknown"}

    @property
    def voluntary(self) -> bool:
        """Whether a drain or an eviction ended it, which must never hit a busy worker."""
        return self.cause in _VOLUNTARY


@dataclass(frozen=True)
class Audit:
    """Reads the file that the backing writes."""

    file: Path

    def entries(self, namespace: str | None = None) -> tuple[Ended, ...]:
        """All of them so far, or those of one namespace, oldest first."""
        try:
            lines = self.file.read_text().splitlines()
        except FileNotFoundError:
            return ()
        found = tuple(Ended(**json.loads(line)) for line in lines)
        return tuple(one for one in found if namespace in {None, one.namespace})

    def kills(self, namespace: str | None = None) -> tuple[Ended, ...]:
        """Those that cut off a live lease."""
        return tuple(one for one in self.entries(namespace) if one.kill)

    async def of(self, pod: str, namespace: str) -> Ended:
        """The entry of one pod, once it is written."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for one in self.entries(namespace):
                    if one.pod == pod:
                        return one
                await asyncio.sleep(0.1)

    def write(self, ended: Ended) -> None:
        """Append an entry; a reader sees all of it or nothing."""
        with self.file.open("ab", buffering=0) as out:
            out.write(json.dumps(asdict(ended)).encode() + b"\n")


@dataclass(frozen=True)
class Lease:
    """The job that a worker holds now."""

    build_id: str
    job_id: str


def agent_of(command: tuple[str, ...]) -> str:
    """The agent's name in a worker's command; empty in any other command."""
    return command[command.index("--name") + 1] if "--name" in command[:-1] else ""


class Witness:
    """Asks one worker's producer: what does it hold, and how did that end?"""

    def __init__(self, environment: Mapping[str, str], command: tuple[str, ...]) -> None:
        self.agent = agent_of(command)
        self._url = environment.get("BUILDYARD_API_URL", "")
        token = environment.get("BUILDYARD_TOKEN", "")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    async def lease(self) -> Lease | How:
        """The lease it holds; else `idle`, `no_worker`, or `unknown` where the producer does not tell."""
        if not self.agent or not self._url:
            return "no_worker"
        try:
            answer = await self._ask(f"/api/v1/agents/{self.agent}/health")
        except httpx.HTTPStatusError as error:
            return "idle" if error.response.status_code == httpx.codes.NOT_FOUND else "unknown"  # it never joined
        except (httpx.HTTPError, ValueError):
            return "unknown"
        agent = answer.get("agent", {})
        return Lease(agent["buildId"], agent["jobId"]) if agent.get("jobId") else "idle"

    async def outcome(self, lease: Lease, *, killed: bool) -> How:
        """How the attempt ended that held the lease, once the producer knows."""
        deadline = time.monotonic() + (0 if killed else _SETTLE_SECONDS)
        while True:
            try:
                how = self._how((await self._ask(f"/api/v1/builds/{lease.build_id}")).get("attempts", ()), lease)
            except (httpx.HTTPError, ValueError):
                how = None
            if how is not None:
                return how
            if time.monotonic() >= deadline:
                return "killed"
            await asyncio.sleep(0.2)

    def _how(self, attempts: list[dict[str, Any]], lease: Lease) -> How | None:
        for attempt in attempts:
            if attempt["agent"] == self.agent and attempt["jobId"] == lease.job_id and attempt["outcome"]:
                return _UNFINISHED.get(attempt["outcome"], "finished")
        return None

    async def _ask(self, path: str) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self._url, headers=self._headers, timeout=5, trust_env=False) as client:
            answer: dict[str, Any] = (await client.get(path)).raise_for_status().json()
            return answer
