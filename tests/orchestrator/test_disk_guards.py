"""A disk that uploads fill: the reserve leaves room for the end of what is in hand, and without it nothing ends."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.agents import AgentHealth, AgentRegistration, Capabilities, ClaimAnswer, ClaimRequest
from buildyard.contracts.builds import JobSpec, Outcome, ReasonCode
from buildyard.contracts.messages import JobFinished
from buildyard.contracts.wire import Request
from buildyard.errors import BrokerUnavailable
from buildyard.ports import REPORTS
from buildyard.settings import Settings
from orchestrator.api.gate import Gate
from orchestrator.app import Producer, build_producer
from tests.guards import holds_only_with
from tests.servers import absent, need

DISK_BYTES = 24 * 2**20
RESERVE_BYTES = 8 * 2**20
SIZES = (3 * 2**20, 300_000, 20_000, 1000)
"""Of uploads, the largest first: what no longer takes the one may take the next."""
AGENT = "linux-1-1"
SHORT = 3.0

patience = 90.0


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Iterator[Path]]:
    """Small disks, one after the other."""
    need("mount")
    mounted: list[Path] = []

    def fresh() -> Iterator[Path]:
        for number in count():
            folder = tmp_path / f"disk-{number}"
            folder.mkdir()
            words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
            told = subprocess.run(words, capture_output=True, text=True, check=False)
            if told.returncode != 0:
                absent(f"A disk of one's own needs the right to mount one: {told.stderr.strip()}")
            mounted.append(folder)
            yield folder

    yield fresh()
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_what_is_in_hand_ends_on_a_disk_that_uploads_fill_because_a_reserve_is_kept(
    disks: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        settings = Settings(data_dir=next(disks), disk_reserve_bytes=RESERVE_BYTES, requests_per_minute=0)
        producer = build_producer(settings)
        await producer.start()
        try:
            transport = httpx.ASGITransport(producer.api)
            async with httpx.AsyncClient(transport=transport, base_url=settings.api, timeout=60) as http:
                spec = await _claimed(http)
                statuses = [await _fill(http, size) for size in SIZES]
                assert set(statuses) <= {503, 507}, "the disk was not felt"
                return await _ended(producer, http, spec)
        finally:
            await producer.stop()

    def guard_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(Gate, "_least_free", lambda _: None)
        patch.setitem(globals(), "patience", SHORT)

    await holds_only_with(guard_out, check, monkeypatch)


async def _upload(http: httpx.AsyncClient, size: int) -> httpx.Response:
    return await http.post("/upload", files={"file": ("p.zip", b"PK\x03\x04" + bytes(size))})


async def _fill(http: httpx.AsyncClient, size: int) -> int:
    """Upload until no more is taken; with which status."""
    while (answer := await _upload(http, size)).status_code == 202:
        pass
    return answer.status_code


async def _claimed(http: httpx.AsyncClient) -> JobSpec:
    agent = AgentRegistration(
        name=AGENT, pool="linux", hostname="here", pid=1, version="0", capabilities=Capabilities(), health=AgentHealth()
    )
    assert (await _post(http, "/api/v1/agents", agent)).is_success
    uploaded = await _upload(http, 1000)
    assert uploaded.status_code == 202, uploaded.text
    claim = ClaimRequest(claim_id=SystemClock().new_id(), pool="linux")
    answer = await _post(http, f"/api/v1/agents/{AGENT}/claim", claim)
    spec = ClaimAnswer.model_validate_json(answer.content).job
    assert spec is not None
    return spec


async def _post(http: httpx.AsyncClient, path: str, body: Request) -> httpx.Response:
    json = {"Content-Type": "application/json"}
    return await http.post(path, content=body.model_dump_json(by_alias=True), headers=json)


async def _ended(producer: Producer, http: httpx.AsyncClient, spec: JobSpec) -> list[str]:
    """Whether the end of a build can still be told and recorded."""
    finished = JobFinished(
        build_id=spec.build_id,
        job_id=spec.job_id,
        attempt=spec.attempt,
        agent=AGENT,
        at=SystemClock().now(),
        outcome=Outcome.SUCCEEDED,
        reason_code=ReasonCode.SUCCEEDED,
        reason="All stages succeeded.",
    )
    try:
        async with asyncio.timeout(patience):
            await producer.broker.publish(REPORTS, [finished.encode()])
            while (await http.get(f"/api/v1/builds/{spec.build_id}")).json()["status"] != "Succeeded":
                await asyncio.sleep(0.02)
    except BrokerUnavailable as error:
        return [f"a worker cannot tell its build's end: {error}"]
    except TimeoutError:
        return ["the end of a build cannot be recorded"]
    return []
