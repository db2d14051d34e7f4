"""Containers of our images: started locked down as a farm would start them, asked from outside, removed in the end."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docker

TARGETS = ("producer", "scaler", "worker", "worker-dotnet", "slow-api")
PATIENCE = 120.0
DOCKER = "BUILDYARD_TEST_DOCKER"
"""The variable that names the engine with the images of `.ci/images`."""


def image(target: str) -> str:
    """The name under which `.ci/images` builds a target of the Dockerfile."""
    return f"buildyard/{target}:test"


@contextlib.contextmanager
def client(url: str) -> Iterator[Any]:
    """The library's own client of an engine."""
    made = docker.APIClient(url, version="auto", timeout=60)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Container:
    """A running container and the engine that has it."""

    engine: Any
    id: str

    def state(self) -> dict[str, Any]:
        """The engine's view of it."""
        found: dict[str, Any] = self.engine.inspect_container(self.id)["State"]
        return found

    def log(self) -> str:
        """All that it wrote."""
        text: bytes = self.engine.logs(self.id)
        return text.decode()

    def exit_code(self) -> int:
        """Its exit code, once it has ended."""
        return int(self.engine.wait(self.id, timeout=PATIENCE)["StatusCode"])

    def until_healthy(self) -> float:
        """Wait until its own health check says so; the seconds that took."""
        begun = time.monotonic()
        while (state := self.state())["Health"]["Status"] != "healthy":
            assert state["Running"], self.log()
            assert time.monotonic() - begun < PATIENCE, (state["Health"], self.log())
            time.sleep(0.1)
        return time.monotonic() - begun

    def until_logged(self, words: str) -> None:
        """Wait until it wrote some words."""
        begun = time.monotonic()
        while words not in self.log():
            assert self.state()["Running"], self.log()
            assert time.monotonic() - begun < PATIENCE, self.log()
            time.sleep(0.02)


@contextlib.contextmanager
def running(
    engine: Any,
    target: str,
    *,
    command: Sequence[str] | None = None,
    entrypoint: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    volumes: Mapping[str, str] | None = None,
) -> Iterator[Container]:
    """A container of a target: read-only, without capabilities, on the machine's network. `volumes`: name -> path."""
    mounts = [{"Type": "volume", "Source": name, "Target": path} for name, path in (volumes or {}).items()]
    tmpfs = {"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
    for folder in {"/data", "/work"} - set((volumes or {}).values()):
        tmpfs[folder] = "rw,exec,nosuid,nodev,mode=0750,uid=10001,gid=10001"
    config: dict[str, Any] = {
        "Image": image(target),
        "Env": [f"{name}={value}" for name, value in (environment or {}).items()],
        "HostConfig": {
            "Init": True,
            "NetworkMode": "host",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Tmpfs": tmpfs,
            "Mounts": mounts,
        },
    }
    config |= {"Cmd": list(command)} if command is not None else {}
    config |= {"Entrypoint": list(entrypoint)} if entrypoint is not None else {}
    made = engine.create_container_from_config(config, f"test-{secrets.token_hex(4)}")["Id"]
    try:
        engine.start(made)
        yield Container(engine, made)
    finally:
        engine.remove_container(made, v=True, force=True)


@contextlib.contextmanager
def shared_volume(engine: Any) -> Iterator[str]:
    """A volume for the length of the block."""
    name = f"test-{secrets.token_hex(4)}"
    engine.create_volume(name)
    try:
        yield name
    finally:
        engine.remove_volume(name, force=True)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
