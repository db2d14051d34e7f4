"""The scaler as a process, with the embedded broker, a producer that a test turns by hand, and stand-in workers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

import scaler
from buildyard.broker import open_broker
from buildyard.broker.sqlite import SqliteBroker
from buildyard.contracts.messages import Ring
from buildyard.errors import BrokerUnavailable, InvalidSettings
from buildyard.ports import Depth, doorbell, jobs
from buildyard.settings import load_settings
from scaler import app
from scaler.app import LateBroker, build_scaler
from tests.scaler.fakes import FakeProducer
from tests.scaler.processes import ended

ROOT = Path(scaler.__file__).parents[1]


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals of the test alone."""

    @contextmanager
    def capture_signals(self) -> Any:
        yield


def producer_api(producer: FakeProducer) -> FastAPI:
    api = FastAPI()

    @api.get("/api/v1/pools")
    async def pools() -> dict[str, Any]:
        return (await producer.pools()).wire()

    @api.get("/api/v1/agents")
    async def agents() -> dict[str, Any]:
        return (await producer.agents()).wire()

    @api.post("/api/v1/agents/{name}/drain")
    async def drain(name: str, body: dict[str, str]) -> dict[str, Any]:
        return (await producer.drain_agent(name, body["reason"])).wire()

    return api


class World:
    """A data folder, a producer on a free port, and scalers in it."""

    def __init__(self, folder: Path, producer_url: str) -> None:
        self.folder = folder
        self.producer = FakeProducer()
        self.broker_url = f"sqlite:///{folder / 'broker.sqlite'}"
        packages = folder / "packages/worker"
        packages.mkdir(parents=True)
        shutil.copyfile(Path(__file__).with_name("fake_worker.py"), packages / "__main__.py")
        (packages / "__init__.py").touch()
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{packages.parent}:{ROOT}",
            "BUILDYARD_DATA_DIR": str(folder / "data"),
            "BUILDYARD_BROKER_URL": self.broker_url,
            "BUILDYARD_API_URL": producer_url,
            "BUILDYARD_SCALER_PORT": "0",
            "BUILDYARD_TICK_SECONDS": "60",
            "BUILDYARD_GRACE_SECONDS": "5",
        }
        self.pools_file = folder / "pools.toml"
        self.pools_file.write_text("[pools.linux.policy]\nmaxWorkers = 5\n")
        self.environment["BUILDYARD_POOLS_FILE"] = str(self.pools_file)

    @asynccontextmanager
    async def scaler(self, *flags: str, **settings: str) -> AsyncIterator[Scaler]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "scaler", *flags),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self.environment, **settings},
            cwd=self.folder,
        )
        running = Scaler(process, self)
        try:
            await running.ready()
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            _, told = await process.communicate()
        assert b"Traceback" not in told, told.decode()


class Scaler:
    """One running scaler."""

    def __init__(self, process: asyncio.subprocess.Process, world: World) -> None:
        self.process = process
        self.world = world
        self.url = self.token = ""

    async def ready(self) -> None:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 120)
        assert line.startswith(b"ready http://127.0.0.1:"), line
        self.url = line.decode().split()[1]

    async def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with httpx.AsyncClient(base_url=self.url, timeout=60, trust_env=False, headers=headers) as http:
            return await http.get(path)

    async def decided(self, code: str, since: int = 0) -> dict[str, Any]:
        """Wait for a decision with this code and a higher number; the record reaches back beyond a restart."""

        async def look() -> dict[str, Any] | None:
            found: list[dict[str, Any]] = (await self.get(f"/decisions?since={since}")).json()["decisions"]
            return next((decision for decision in found if decision["plan"]["code"] == code), None)

        return await eventually(look)

    async def pids(self) -> dict[str, int]:
        workers = (await self.get("/agents")).json()["workers"]
        return {worker["name"]: worker["pid"] for worker in workers}

    async def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 120)


async def eventually(look: Callable[[], Awaitable[dict[str, Any] | None]]) -> dict[str, Any]:
    """What `look` finds as soon as it finds something."""
    async with asyncio.timeout(60):
        while (found := await look()) is None:
            await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    listening = socket.create_server(("127.0.0.1", 0))
    made = World(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(producer_api(made.producer), log_config=None, lifespan="off", ws="none")
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield made
    server.should_exit = True
    await serving


async def test_a_ring_bursts_workers_whose_logs_can_be_read_and_who_stop_with_the_farm(world: World) -> None:
    broker = open_broker(world.broker_url)
    await broker.open()
    async with world.scaler("--stop-workers") as running:
        await running.decided("nothing_to_do")
        world.producer.ready = 41

        async def rung() -> dict[str, Any] | None:
            await broker.publish(doorbell("linux"), [Ring(pool="linux").encode()])
            workers = (await running.get("/agents")).json()["workers"]
            return {"all": workers} if len(workers) == 5 else None

        workers = (await eventually(rung))["all"]
        log = await running.get("/agents/linux-1-1/logs?follow=0")
        pids = await running.pids()

        assert {worker["state"] for worker in workers} == {"Pending"}
        assert (await running.decided("burst"))["wokenBy"] == "doorbell"
        assert log.status_code == 200
        assert await running.end() == 0
        for pid in pids.values():
            await ended(pid)
    await broker.close()


async def test_a_followed_log_arrives_at_once(world: World) -> None:
    world.producer.ready = 1
    async with world.scaler("--stop-workers") as running:
        await running.decided("first_worker")
        async with (
            httpx.AsyncClient(base_url=running.url, timeout=60, trust_env=False) as http,
            http.stream("GET", "/agents/linux-1-1/logs?follow=1") as answer,
        ):
            first = await anext(answer.aiter_lines())

        assert first == "started --pool linux --name linux-1-1"
        assert await running.end() == 0


async def test_workers_outlive_their_scaler_and_the_next_one_finds_them(world: World) -> None:
    world.producer.ready = 41
    async with world.scaler() as first:
        await first.decided("burst")
        before = await first.pids()
        number = (await first.get("/decisions?limit=1")).json()["decisions"][0]["number"]
        assert await first.end() == 0

    async with world.scaler("--stop-workers") as second:
        decision = await second.decided("workers_coming", since=number)

        assert await second.pids() == before
        assert decision["number"] > number
        assert (await second.get("/why")).json()["answers"][0]["code"] == "workers_coming"
        assert await second.end() == 0

    verifying = [sys.executable, "-m", "scaler", "verify", "--json", str(world.folder / "data" / "decisions")]
    verified = json.loads(await asyncio.to_thread(subprocess.check_output, verifying, cwd=ROOT))
    assert (verified["mismatches"], verified["unread"]) == ([], 0)
    assert verified["ticks"] >= decision["number"]


async def test_without_a_producer_it_lives_and_says_what_is_missing(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with world.scaler(BUILDYARD_API_URL=f"http://127.0.0.1:{port}") as running:
        decision = await running.decided("unknown_count")
        answer = await running.get("/healthz")

        assert "cannot be reached" in decision["plan"]["reason"]
        assert answer.status_code == 503
        assert not answer.json()["checks"][0]["ok"]
        assert await running.end() == 0


async def test_of_two_scalers_one_stands_by_and_takes_over_when_the_other_is_killed(world: World) -> None:
    world.producer.ready = 41
    async with world.scaler() as leader:
        await leader.decided("burst")
        before = await leader.pids()
        newest = (await leader.get("/decisions?limit=1")).json()["decisions"][0]["number"]
        async with world.scaler("--stop-workers") as second:
            health = await second.get("/healthz")
            handed_on = await second.get("/decisions?limit=1")
            assert (health.status_code, health.json()["leads"]) == (200, False)
            assert health.json()["checks"][0]["detail"].startswith(f"It stands by: {leader.url} (process ")
            assert (await second.get("/healthz?leading=1")).status_code == 503
            assert (await leader.get("/healthz?leading=1")).json()["leader"].startswith(leader.url)
            assert handed_on.status_code == 200
            assert handed_on.json()["decisions"][0]["number"] >= newest
            assert (await second.pids()) == before

            leader.process.kill()
            await leader.process.wait()

            async def decides() -> dict[str, Any] | None:
                answer = await second.get(f"/decisions?since={newest}")
                found: list[dict[str, Any]] = answer.json().get("decisions", [])
                return found[-1] if found else None

            decision = await eventually(decides)
            assert decision["number"] > newest
            assert decision["plan"]["code"] == "workers_coming"
            assert await second.pids() == before
            assert await second.end() == 0


async def test_a_scaler_that_stands_by_answers_as_the_one_that_leads(world: World) -> None:
    world.producer.ready = 41
    token = {"BUILDYARD_TOKEN": "s3cret"}
    async with world.scaler("--stop-workers", **token) as leader:
        leader.token = "s3cret"
        await leader.decided("burst")
        async with world.scaler(**token) as second:
            assert (await second.get("/decisions")).status_code == httpx.codes.UNAUTHORIZED
            second.token = "s3cret"
            for path in ("/why", "/whatif?pool=linux&burstSize=3", "/decisions?changes=1&limit=1"):
                told, handed_on = await leader.get(path), await second.get(path)
                assert handed_on.status_code == told.status_code == httpx.codes.OK
                assert handed_on.headers["content-type"] == told.headers["content-type"]
                assert handed_on.json().keys() == told.json().keys()
            assert (await second.get("/agents")).json()["readings"].keys() == {"linux"}
            nobody = await second.get("/agents/linux-9-9/logs")
            assert (nobody.status_code, nobody.json()["code"]) == (httpx.codes.NOT_FOUND, "not_found")
            headers = {"Authorization": "Bearer s3cret"}
            async with (
                httpx.AsyncClient(base_url=second.url, timeout=60, trust_env=False, headers=headers) as http,
                http.stream("GET", "/agents/linux-1-1/logs?follow=1") as answer,
            ):
                assert await anext(answer.aiter_lines()) == "started --pool linux --name linux-1-1"
            assert await second.end() == 0
        assert await leader.end() == 0


async def test_a_scaler_that_stands_by_stops_no_workers_when_it_ends(world: World) -> None:
    world.producer.ready = 41
    async with world.scaler("--stop-workers") as leader:
        await leader.decided("burst")
        async with world.scaler("--stop-workers") as second:
            assert await second.end() == 0

        workers = (await leader.get("/agents")).json()["workers"]
        assert [worker["state"] for worker in workers] == ["Pending"] * 5
        assert await leader.end() == 0


async def test_pools_together_stay_below_the_maximum_of_the_farm(world: World) -> None:
    world.pools_file.write_text("[farm]\nmax_workers = 3\n[pools.linux]\n[pools.arm]\n")
    world.producer.ready = 41
    async with world.scaler("--stop-workers", BUILDYARD_TICK_SECONDS="0.2") as running:
        await running.decided("burst")

        full = await running.decided("farm_at_maximum")

        assert full["observed"]["farm"]["maxWorkers"] == 3
        assert len(await running.pids()) == 3
        assert "but 3 of the 3 places of all pools are taken." in full["plan"]["reason"]
        assert await running.end() == 0


async def test_a_port_that_is_taken_is_said_in_one_sentence(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "scaler"),
            stderr=asyncio.subprocess.PIPE,
            env={**world.environment, "BUILDYARD_SCALER_PORT": str(port)},
            cwd=world.folder,
        )
        _, error = await asyncio.wait_for(process.communicate(), 120)

    assert process.returncode == 2
    assert error.decode() == (
        f"The scaler cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Set BUILDYARD_SCALER_PORT to a free port, or 0.\n"
    )


async def test_a_wrong_setting_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings):
        build_scaler(load_settings(data_dir=tmp_path, broker_url="carrier:pigeon"), {})
    amqp = load_settings(data_dir=tmp_path, broker_url="amqp://127.0.0.1/", broker_management_url="gopher://127.0.0.1")
    with pytest.raises(InvalidSettings, match="BUILDYARD_BROKER_MANAGEMENT_URL"):
        build_scaler(amqp, {})


class _ShyBroker(SqliteBroker):
    """Opens at the third try."""

    tries = 0

    async def open(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise BrokerUnavailable("The file is locked.")
        await super().open()


async def test_a_broker_that_cannot_be_opened_yet_is_opened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "FIRST_PAUSE_SECONDS", 0.001)
    shy = _ShyBroker(str(tmp_path / "broker.sqlite"))
    late = LateBroker(shy)
    with pytest.raises(BrokerUnavailable, match="not connected yet"):
        await late.witnesses(jobs("linux"))

    await late.open_for_ever()
    await late.declare(jobs("linux"))

    (counted,) = await late.witnesses(jobs("linux"))
    assert isinstance(counted, Depth)
    assert counted.ready == 0
    await shy.close()
