"""A whole farm of real processes for a test, and the questions journeys ask of it."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient, ScalerClient
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.scaling import DecisionCode
from buildyard.errors import TemporaryError

PATIENCE = 90.0
"""Seconds after which a journey that waits for something has failed."""

QUICK = {
    "BUILDYARD_LEASE_SECONDS": "4",
    "BUILDYARD_HEARTBEAT_SECONDS": "1",
    "BUILDYARD_SWEEP_SECONDS": "0.2",
}


@dataclass
class Yard:
    """A running farm and clients of its two APIs."""

    farm: Farm
    producer: ProducerClient
    scaler: ScalerClient
    folder: Path

    async def submit(self, content: bytes, name: str = "project.zip", **fields: str) -> str:
        """Upload bytes as a build; its id."""
        accepted = await self.producer.upload(_pieces(content), fields, filename=name)
        return accepted.execution_id

    async def end(self, build_id: str) -> BuildStatus:
        """Wait for a build's end by its events, also while the producer is away."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    async with aclosing(self.producer.events(build_id)) as events:
                        async for event in events:
                            if event.type == "build_ended":
                                break
                    return await self.producer.build(build_id)
                except TemporaryError as error:
                    await asyncio.sleep(error.retry_after)

    async def stage(self, build_id: str, stage: str) -> None:
        """Wait until a stage of a build has begun."""
        async with asyncio.timeout(PATIENCE), aclosing(self.producer.events(build_id)) as events:
            async for event in events:
                if event.type == "stage_started" and event.data["stage"] == stage:
                    return

    async def log(self, build_id: str) -> str:
        """The whole log of a build."""
        async with aclosing(self.producer.logs(build_id)) as lines:
            return "\n".join([line async for line in lines])

    async def verified(self, build_id: str, into: Path) -> dict[str, Path]:
        """Download all artifacts of a build, each verified by the client and once more here."""
        found = {}
        for artifact in (await self.producer.artifacts(build_id)).artifacts:
            target = into / artifact.path
            target.parent.mkdir(parents=True, exist_ok=True)
            await self.producer.download(artifact, target)
            assert sha256(target.read_bytes()).hexdigest() == artifact.sha256_hash
            found[artifact.path] = target
        return found

    async def decided(self, code: DecisionCode) -> int:
        """How many workers the decisions with this code started, once there is one."""
        started = 0

        async def seen() -> bool:
            nonlocal started
            decisions = (await self.scaler.decisions(limit=1000)).decisions
            started = max((len(one.plan.start) for one in decisions if one.plan.code is code), default=0)
            return started > 0

        await until(seen)
        return started


@asynccontextmanager
async def open_yard(folder: Path, env: Mapping[str, str], pool: str = "max_workers = 2") -> AsyncIterator[Yard]:
    """Run a farm for the length of the block; `pool` is the policy of its one pool as TOML."""
    pools = folder / "pools.toml"
    pools.write_text(f"[pools.linux.policy]\n{pool}\n")
    settings = {**QUICK, **env, "BUILDYARD_POOLS_FILE": str(pools)}
    async with (
        Farm(folder / "data", env=settings, grace_seconds=10) as farm,
        ProducerClient(farm.api_url) as producer,
        ScalerClient(farm.scaler_url) as scaler,
    ):
        yield Yard(farm, producer, scaler, folder)


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so, within PATIENCE."""
    async with asyncio.timeout(PATIENCE):
        while not await what():
            await asyncio.sleep(0.05)


def zipped(files: Mapping[str, str]) -> bytes:
    """Files as a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


def zipped_folder(folder: Path) -> bytes:
    """A folder of sources as a zip archive, below one top folder as people pack them."""
    files = {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"obj", "bin", "__pycache__"} & set(path.parts)
    }
    return zipped(files)


def make_project(recipe: str) -> bytes:
    """A project whose build runs one shell recipe."""
    return zipped({"Makefile": f"all:\n\t@{recipe}\n"})


def csv_of(rows: int, **columns: str) -> bytes:
    """A CSV with a number column and the given constant ones."""
    header = ",".join(["id", *columns])
    return "\n".join([header, *(",".join([str(n), *columns.values()]) for n in range(1, rows + 1))]).encode() + b"\n"


def json_lines(path: Path) -> list[dict[str, object]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content
