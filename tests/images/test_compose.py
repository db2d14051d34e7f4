"""docker-compose.yaml as it stands: a farm of the built images, whose scaler starts workers as containers beside it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.containers import DOCKER, free_port
from buildyard.client import ProducerClient, ScalerClient
from buildyard.errors import TemporaryError
from tests import docker_engine, servers
from tests.journey.yard import until, zipped

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yaml"
POOLS = ROOT / "images" / "compose-pools.toml"
IMAGES = ("producer", "scaler", "worker", "slow-api", "rabbitmq", "postgres")
OURS = ("producer", "scaler", "slow-api")
PROJECT = zipped({"Makefile": "all:\n\t@mkdir -p dist; echo made >dist/made.txt\n"})


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_locked_down_and_reachable_from_this_machine_only(name: str) -> None:
    service = services()[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["build"]["target"] == name


def test_only_the_scaler_gets_the_engines_socket() -> None:
    with_socket = [
        name for name, one in services().items() if any("docker.sock" in str(v) for v in one.get("volumes", ()))
    ]

    assert with_socket == ["scaler"]


@dataclass
class Project:
    """A running compose project."""

    command: list[str]
    env: Mapping[str, str]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words],
            env=dict(self.env),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def composed(folder: Path) -> Iterator[tuple[Project, str, str]]:
    """The compose file's farm for the length of the block, with the engine's address and the label of its workers."""
    if DOCKER not in os.environ:
        servers.absent(f"{DOCKER} names no engine of the tests' own; names and volumes of a farm of yours could clash")
    host, farm = docker_engine.host(*map(docker_engine.image, IMAGES)), f"test-{secrets.token_hex(4)}"
    pools = folder / "pools.toml"
    one = POOLS.read_text().replace(":dev", ":test").replace("max_workers = 4", "max_workers = 1")
    pools.write_text(f'{one}farm = "{farm}"\n')
    pools.chmod(0o644)
    socket = host.removeprefix("unix://")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DOCKER_HOST": host,
        "DOCKER_SOCKET": socket,
        "DOCKER_GROUP": str(Path(socket).stat().st_gid),
        "BUILDYARD_TAG": "test",
        "RABBITMQ_IMAGE": docker_engine.image("rabbitmq"),
        "POSTGRES_IMAGE": docker_engine.image("postgres"),
        "POOLS_FILE": str(pools),
        **{f"{name}_PORT": str(free_port()) for name in ("RABBITMQ", "PRODUCER", "SCALER", "SLOW_API")},
    }
    project = Project([servers.need("docker-compose"), "--file", str(FILE)], env)
    try:
        yield project, host, farm
    finally:
        docker_engine.remove_farm(host, farm)
        project.run("down", "--volumes", "--timeout", "3")


async def test_the_compose_file_brings_up_a_farm_that_builds_in_containers(tmp_path: Path) -> None:
    with composed(tmp_path) as (project, host, farm):
        project.run("up", "--detach", "--no-build", "--pull", "never")
        producer_url = f"http://127.0.0.1:{project.env['PRODUCER_PORT']}"
        scaler_url = f"http://127.0.0.1:{project.env['SCALER_PORT']}"
        async with (
            ProducerClient(producer_url, "development") as producer,
            ScalerClient(scaler_url, "development") as scaler,
        ):
            accepted = await producer.upload(_once(PROJECT), {}, filename="project.zip")

            async def ended() -> bool:
                try:
                    return (await producer.build(accepted.execution_id)).status not in {"Received", "Queued", "Running"}
                except TemporaryError:
                    return False

            await until(ended)
            status = await producer.build(accepted.execution_id)
            assert status.status == "Succeeded", f"{status.reason}\n{project.run('logs')}"
            (worker,) = (await scaler.workers()).workers
            assert (worker.name, worker.phase) == ("linux-1-1", "running")
        with docker_engine.client(host) as engine:
            (row,) = engine.containers(filters={"label": f"buildyard.farm={farm}"})
            assert list(row["NetworkSettings"]["Networks"]) == ["buildyard"]

        async def healthy() -> bool:
            told = map(json.loads, project.run("ps", "--format", "json").splitlines())
            health = {one["Service"]: one["Health"] for one in told}
            return {health[name] for name in (*OURS, "rabbitmq", "postgres")} == {"healthy"}

        await until(healthy)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
