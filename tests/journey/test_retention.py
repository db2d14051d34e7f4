"""A farm that keeps things for seconds: what it built goes, what it is building stays."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from buildyard.errors import Gone
from buildyard.settings import Settings
from orchestrator.store.schema import metadata
from tests.journey.yard import PATIENCE, Yard, csv_of, make_project, open_yard, until
from tests.servers import need

pytestmark = [pytest.mark.journey]

SECONDS = str(2 / 86_400)
SHORT = {
    "BUILDYARD_BUILD_KEEP_DAYS": SECONDS,
    "BUILDYARD_OUTPUT_KEEP_DAYS": SECONDS,
    "BUILDYARD_NEWEST_KEEP_DAYS": "0",
    "BUILDYARD_LEFTOVER_KEEP_HOURS": "0.0001",
    "BUILDYARD_ORPHAN_KEEP_HOURS": "0.001",
    "BUILDYARD_SOURCE_KEEP_HOURS": "0.0001",
    "BUILDYARD_UPLOAD_KEEP_HOURS": "0.003",
    "BUILDYARD_SWEEP_SECONDS": "0.1",
}
GROWING = ("builds", "jobs", "attempts", "stages", "events", "log_segments", "artifacts", "rows", "dead_letters")


def store_of(yard: Yard, where: dict[str, str]) -> str:
    return Settings(data_dir=yard.folder / "data", store_url=where.get("BUILDYARD_STORE_URL", "")).store


async def counted(url: str) -> dict[str, int]:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        counts = {
            name: (await connection.execute(select(func.count()).select_from(metadata.tables[name]))).scalar_one()
            for name in GROWING
        }
    await engine.dispose()
    return {name: count for name, count in counts.items() if count}


async def ended_as(yard: Yard, build: str, held: Path) -> str:
    """Let a build go on, and how it ended: by its events, since two seconds later nothing else tells of it."""
    async with asyncio.timeout(PATIENCE), aclosing(yard.producer.events(build)) as events:
        async for event in events:
            held.touch()
            if event.type == "build_ended":
                return str(event.data["status"])
    raise AssertionError("its events ended before it did")


async def test_what_was_built_goes_and_what_is_being_built_stays(where: dict[str, str], tmp_path: Path) -> None:
    need("make")
    held = tmp_path / "go on"
    async with open_yard(tmp_path, {**where, **SHORT}, "max_workers = 2") as yard:
        url, objects = store_of(yard, where), tmp_path / "data" / "objects"
        running = await yard.submit(
            make_project(f"mkdir -p dist; echo x > dist/x; while [ ! -e '{held}' ]; do sleep 0.1; done")
        )
        await yard.stage(running, "Build")
        orphan = objects / "builds" / "01938a2e-7c1b-7d8e-9f00-123456789abc" / "late"
        orphan.parent.mkdir(parents=True)
        orphan.write_bytes(b"of a build that nobody knows")
        ended = [
            await yard.submit(make_project("mkdir -p dist; echo made > dist/made")),
            await yard.submit(make_project("echo broken; false")),
            await yard.submit(csv_of(30), "rows.csv"),
        ]

        async def gone() -> bool:
            for build in ended:
                try:
                    await yard.producer.build(build)
                except Gone:
                    continue
                return False
            return (await counted(url))["builds"] == 1 and not orphan.exists()

        await until(gone)
        with pytest.raises(Gone, match="was removed"):
            await yard.log(ended[0])
        left = {path.relative_to(objects).parts[1] for path in objects.glob("builds/*")}
        assert left <= {running}, "folders of builds that are gone go with them"

        status = await yard.producer.build(running)
        assert (status.status, status.outputs_removed) == ("Running", False)
        assert await ended_as(yard, running, held) == "Succeeded"

        async def empty() -> bool:
            return await counted(url) == {} and not [path for path in objects.rglob("*") if path.is_file()]

        await until(empty)
