"""The built images on a real engine: who runs in them, what is left in them, and whether they work locked down."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

import buildyard
from bench.containers import TARGETS, free_port, running, shared_volume
from buildyard.client import ProducerClient
from tests import docker_engine
from tests.journey.yard import zipped

INVENTORY = """
import importlib.util, json, os, pathlib, shutil, sys
tools = ["pip", "pip3", "cc", "gcc", "g++", "c++", "ld", "as", "curl", "wget", "ssh", "sudo"]
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "tools": [tool for tool in tools if shutil.which(tool)],
    "pip": importlib.util.find_spec("pip") is not None,
    "ours": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
    "secrets": [path for path in ("/etc/pip.conf", "/run/secrets/ca", "/make") if os.path.exists(path)],
    "setuid": sorted(
        str(path) for folder in ("/opt", "/srv", "/data", "/work") for path in pathlib.Path(folder).rglob("*")
        if path.is_file() and path.stat().st_mode & 0o6000
    ),
}))
"""
NAMES = (
    "buildyard",
    "orchestrator",
    "scaler",
    "tui",
    "worker",
    "sqlalchemy",
    "fastapi",
    "docker",
    "aio_pika",
    "textual",
)
WHAT_IS_IN_THEM = {
    "producer": ["buildyard", "orchestrator", "sqlalchemy", "fastapi", "aio_pika"],
    "scaler": ["buildyard", "scaler", "tui", "fastapi", "docker", "aio_pika", "textual"],
    "worker": ["buildyard", "worker", "aio_pika"],
    "worker-dotnet": ["buildyard", "worker", "aio_pika"],
    "slow-api": [],
}
LARGEST_MB = {"producer": 260, "scaler": 400, "worker": 330, "worker-dotnet": 700, "slow-api": 140}
"""So much may an image grow; docs/benchmarks.md has what they take."""
TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """An engine that has all images."""
    with docker_engine.client(docker_engine.host(*map(docker_engine.image, TARGETS))) as client:
        yield client


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_who_runs_in_it_how_it_is_and_what_it_is(engine: Any, target: str) -> None:
    seen = engine.inspect_image(docker_engine.image(target))

    config = seen["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.title"] == "Buildyard"
    assert config["Labels"]["org.opencontainers.image.description"]
    assert config["Labels"]["org.opencontainers.image.version"] == buildyard.__version__
    assert not config.get("Volumes")
    assert seen["Size"] / 1e6 < LARGEST_MB[target]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_holds_what_its_process_imports_and_no_compiler_no_pip_and_no_secret(engine: Any, target: str) -> None:
    python = "python3" if target == "slow-api" else "python"
    with running(engine, target, entrypoint=[python, "-c", INVENTORY, *NAMES]) as container:
        assert container.exit_code() == 0, container.log()
        found = json.loads(container.log())

    assert found == {
        "ids": [10001, 10001],
        "tools": [],
        "pip": False,
        "ours": WHAT_IS_IN_THEM[target],
        "secrets": [],
        "setuid": [],
    }


@pytest.mark.parametrize("target", TARGETS)
def test_no_layer_names_an_index_a_proxy_or_a_credential(engine: Any, target: str) -> None:
    steps = json.dumps(engine.history(docker_engine.image(target))).lower()

    assert not [word for word in ("index-url", "_proxy=", "password", "token=", "trusted-host") if word in steps]


def test_a_producer_without_a_token_says_so_and_does_not_start(engine: Any) -> None:
    with running(engine, "producer") as container:
        assert container.exit_code() == 2
        assert "BUILDYARD_TOKEN must be set" in container.log()


def test_the_slow_api_is_healthy_on_a_read_only_root(engine: Any) -> None:
    port = str(free_port())
    command = ["--host", "127.0.0.1", "--port", port, "--latency", "0"]
    with running(engine, "slow-api", command=command, environment={"BUILDYARD_PROBE_PORT": port}) as container:
        container.until_healthy()

        assert httpx.get(f"http://127.0.0.1:{port}/row/1", trust_env=False, timeout=60).json()["path"] == "/row/1"


def test_the_dotnet_worker_finds_its_sdk(engine: Any) -> None:
    with running(
        engine, "worker-dotnet", entrypoint=["dotnet", "--version"], environment={"HOME": "/work"}
    ) as container:
        assert container.exit_code() == 0, container.log()
        assert container.log().strip()[0].isdigit()


async def test_producer_scaler_and_worker_of_the_images_build_a_project_and_are_healthy(engine: Any) -> None:
    ports = {"BUILDYARD_PORT": str(free_port()), "BUILDYARD_SCALER_PORT": str(free_port())}
    common = {
        **ports,
        "BUILDYARD_HOST": "127.0.0.1",
        "BUILDYARD_TOKEN": TOKEN,
        "BUILDYARD_API_URL": f"http://127.0.0.1:{ports['BUILDYARD_PORT']}",
    }
    producer_env = {**common, "BUILDYARD_PROBE_PORT": ports["BUILDYARD_PORT"]}
    scaler_env = {**common, "BUILDYARD_PROBE_PORT": ports["BUILDYARD_SCALER_PORT"]}
    worker_env = {**common, "BUILDYARD_DATA_DIR": "/data"}
    with (
        shared_volume(engine) as volume,
        running(engine, "producer", environment=producer_env, volumes={volume: "/data"}) as producer,
    ):
        producer.until_healthy()
        worker_command = ["--pool", "linux", "--name", "by-hand"]
        with (
            running(engine, "scaler", environment=scaler_env, volumes={volume: "/data"}) as scaler,
            running(
                engine, "worker", command=worker_command, environment=worker_env, volumes={volume: "/data"}
            ) as worker,
        ):
            worker.until_healthy()
            scaler.until_healthy()
            async with ProducerClient(common["BUILDYARD_API_URL"], TOKEN) as client:
                accepted = await client.upload(_once(PROJECT), {}, filename="project.zip")
                status = None
                async for event in client.events(accepted.execution_id):
                    if event.type == "build_ended":
                        status = await client.build(accepted.execution_id)
                        break
                assert status is not None
                assert status.status == "Succeeded", f"{status.reason}\n{worker.log()}"


PROJECT = zipped({"Makefile": "all:\n\t@mkdir -p dist; echo made >dist/made.txt\n"})


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
