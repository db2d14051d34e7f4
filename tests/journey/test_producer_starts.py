"""Producer, scaler and worker started in the wrong order, before any server is there: they wait, and say for what."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from buildyard.cli.local import held_port
from buildyard.client import ProducerClient
from chaos.proxy import Proxy, proxied
from tests.journey.yard import QUICK, make_project, until
from tests.servers import need

pytestmark = [pytest.mark.journey]

ORDERS = {"worker first": ("worker", "scaler", "orchestrator"), "producer first": ("orchestrator", "scaler", "worker")}
WAITING = {"worker": "waiting for the", "scaler": "cannot be reached", "orchestrator": "waiting"}


@pytest.mark.parametrize("order", ORDERS)
async def test_parts_wait_for_what_is_not_there_and_then_go_on(
    where: dict[str, str], tmp_path: Path, order: str
) -> None:
    need("make")
    async with AsyncExitStack() as stack:
        env, proxies = await _behind_proxies(where, stack)
        ports = [stack.enter_context(_held()) for _ in range(2)]
        env |= {
            **QUICK,
            "BUILDYARD_DATA_DIR": str(tmp_path / "data"),
            "BUILDYARD_PORT": str(ports[0]),
            "BUILDYARD_SCALER_PORT": str(ports[1]),
        }
        api = f"http://127.0.0.1:{ports[0]}"
        logs = {}
        for part in ORDERS[order]:
            logs[part] = await stack.enter_async_context(_running(part, env, tmp_path))
            if part == "worker" and (proxies or "orchestrator" not in logs):
                await until(lambda: _has(logs["worker"], WAITING["worker"]))
            if part == "scaler" and (proxies or "orchestrator" not in logs):
                await until(lambda: _unwell(f"http://127.0.0.1:{ports[1]}/healthz", "producer"))
            if part == "orchestrator" and proxies:
                await until(lambda: _has(logs["orchestrator"], WAITING["orchestrator"]))
                await until(lambda: _unwell(f"{api}/api/v1/health", "store"))
                await until(lambda: _unwell(f"{api}/api/v1/health", "broker"))
        for proxy in proxies:
            await proxy.listen()

        await until(lambda: _well(api))
        await until(lambda: _has(logs["worker"], "ready "))
        async with ProducerClient(api) as client:
            build = (await client.upload(_once(make_project("true")), {}, filename="p.zip")).execution_id

            async def ended() -> bool:
                return (await client.build(build)).status == "Succeeded"

            await until(ended)


async def _behind_proxies(where: Mapping[str, str], stack: AsyncExitStack) -> tuple[dict[str, str], list[Proxy]]:
    """The settings with a proxy before each server, which refuses for now."""
    env, proxies = {}, []
    for name, url in where.items():
        parts = urlsplit(url)
        proxy = await stack.enter_async_context(proxied(parts.hostname or "", parts.port or 0))
        await proxy.refuse()
        proxies.append(proxy)
        who = parts.netloc.rpartition("@")[0]
        env[name] = parts._replace(netloc=f"{who}@127.0.0.1:{proxy.port}").geturl()
    return env, proxies


class _held:  # noqa: N801 - used as a function
    """A port that nobody else picks."""

    def __enter__(self) -> int:
        port, self._holder = held_port("127.0.0.1")
        return port

    def __exit__(self, *_: object) -> None:
        if self._holder is not None:
            self._holder.close()


@asynccontextmanager
async def _running(part: str, env: Mapping[str, str], folder: Path) -> AsyncIterator[Path]:
    """A part of the farm as a process, asked to end at the end; yields its log."""
    log = folder / f"{part}.log"
    arguments = ["--name", "early"] if part == "worker" else ["--stop-workers"] if part == "scaler" else []
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", part, *arguments, env={**os.environ, **env}, stdout=out, stderr=out
        )
    try:
        yield log
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(40):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _has(log: Path, text: str) -> bool:
    return text in log.read_text()


async def _unwell(url: str, check: str) -> bool:
    """Whether the health says 503, and of one check that it is not well and why."""
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.get(url)
    except httpx.TransportError:
        return False
    found = {one["name"]: one for one in answer.json()["checks"]}
    return answer.status_code == 503 and not found[check]["ok"] and bool(found[check]["detail"])


async def _well(url: str) -> bool:
    try:
        async with httpx.AsyncClient(timeout=60) as client:
            return (await client.get(f"{url}/api/v1/health")).status_code == 200
    except httpx.TransportError:
        return False


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
