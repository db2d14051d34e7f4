"""A farm whose workers are containers: what is built in one arrives like any other build, and nothing is left of it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient, ScalerClient
from tests import docker_engine, servers
from tests.contract.stores import new_bucket, s3_server
from tests.journey.yard import QUICK, Yard, until, zipped

pytestmark = [pytest.mark.journey]

WORKER = docker_engine.image("worker")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
PROJECT = zipped(
    {
        "Makefile": (
            "all:\n\t@mkdir -p dist; id -u >dist/made.txt\n"
            "test:\n\t@hostname; ! touch /usr/probe 2>/dev/null; echo refused to leave the sandbox\n"
        )
    }
)


@asynccontextmanager
async def yard_of_containers(folder: Path, broker: str, store: str) -> AsyncIterator[tuple[Yard, str, str]]:
    """A farm on RabbitMQ, PostgreSQL and S3 with a pool of containers; the engine's address and the farm's label."""
    host, farm = docker_engine.host(WORKER), f"test-{secrets.token_hex(4)}"
    pools = folder / "pools.toml"
    pools.write_text(
        '[pools.linux]\nexecutor = "docker"\npolicy = { max_workers = 1 }\n'
        f'[pools.linux.docker]\nimage = "{WORKER}"\nhost = "{host}"\nfarm = "{farm}"\npull = "never"\n'
        'network = "host"\nmemory_bytes = 1073741824\ncpus = 1\n'
        "[pools.linux.docker.environment]\n" + "".join(f'{name} = "{value}"\n' for name, value in KEYS.items())
    )
    with s3_server() as endpoint:
        env = {
            **QUICK,
            **KEYS,
            "BUILDYARD_POOLS_FILE": str(pools),
            "BUILDYARD_BROKER_URL": broker,
            "BUILDYARD_STORE_URL": store,
            "BUILDYARD_OBJECTS_URL": f"s3://{new_bucket(endpoint)}/farm?endpoint={endpoint}&region=us-east-1",
        }
        try:
            async with (
                Farm(folder / "data", env=env, grace_seconds=10) as running,
                ProducerClient(running.api_url) as producer,
                ScalerClient(running.scaler_url) as scaler,
            ):
                yield Yard(running, producer, scaler, folder), host, farm
        finally:
            docker_engine.remove_farm(host, farm)


async def test_a_build_in_a_container_returns_its_artifacts_and_stopping_the_farm_stops_the_workers(
    rabbitmq_4_url: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async with yard_of_containers(tmp_path, servers.with_prefix(rabbitmq_4_url), fresh_postgres) as (yard, host, farm):
        build = await yard.submit(PROJECT)

        status = await yard.end(build)

        log = await yard.log(build)
        assert status.status == "Succeeded", f"{status.reason}\n{log}"
        assert "refused to leave the sandbox" in log
        artifacts = await yard.verified(build, tmp_path / "out")
        assert artifacts["dist/made.txt"].read_text() == "10001\n"
        (worker,) = (await yard.scaler.workers()).workers
        assert (worker.name, worker.phase, bool(worker.node)) == ("linux-1-1", "running", True)
        async with aclosing(yard.scaler.worker_logs(worker.name)) as lines:
            assert "ready linux-1-1" in [line async for line in lines]

        await yard.farm.scaler.stop(30)

        with docker_engine.client(host) as engine:

            async def stopped() -> bool:
                return not engine.containers(filters={"label": f"buildyard.farm={farm}"})

            await until(stopped)
            (row,) = engine.containers(all=True, filters={"label": f"buildyard.farm={farm}"})
            assert engine.inspect_container(row["Id"])["State"]["ExitCode"] == 0


async def test_a_scaler_that_is_killed_finds_its_containers_again_and_loses_no_work(
    rabbitmq_4_url: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async with yard_of_containers(tmp_path, servers.with_prefix(rabbitmq_4_url), fresh_postgres) as (yard, host, farm):
        gate = zipped({"Makefile": "all:\n\t@mkdir -p dist; sleep 5; echo made >dist/made.txt\n"})
        build = await yard.submit(gate)
        await yard.stage(build, "Build")

        yard.farm.scaler.kill()
        status = await yard.end(build)

        assert status.status == "Succeeded", status.reason
        await until(lambda: _answers(yard))
        assert [worker.name for worker in (await yard.scaler.workers()).workers] == ["linux-1-1"]
        with docker_engine.client(host) as engine:
            assert len(engine.containers(all=True, filters={"label": f"buildyard.farm={farm}"})) == 1


async def _answers(yard: Yard) -> bool:
    try:
        return bool((await yard.scaler.workers()).workers)
    except Exception:  # noqa: BLE001 - it is being started again
        return False
