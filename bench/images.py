"""The images: what they take on disk, and how long after `docker start` they are of use. Needs `.ci/images`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.client import HTTPConnection
from typing import Any

from bench.containers import DOCKER, TARGETS, Container, client, free_port, image, running, shared_volume
from bench.figures import NotMeasured, Row, median, spread

ROUNDS = 5
_TOKEN = "a-token-of-the-bench"
_LOOK_SECONDS = 0.005
_PATIENCE_SECONDS = 60


async def measure() -> list[Row]:
    """Rows of sizes and start times; containers are read-only and without capabilities, layers in the page cache."""
    url = os.environ.get(DOCKER)
    if not url:
        raise NotMeasured(f"{DOCKER} names no engine: .ci/images start DIR, then . DIR/env")
    return await asyncio.to_thread(_measure, url)


def _measure(url: str) -> list[Row]:
    with client(url) as engine:
        there = {tag for row in engine.images() for tag in row["RepoTags"] or ()}
        if missing := [target for target in TARGETS if image(target) not in there]:
            raise NotMeasured(f"the engine has no image {missing[0]}: .ci/images build DIR")
        base = engine.inspect_image("buildyard/base:test")["Size"]
        rows = [_size(engine, target, base) for target in TARGETS]
        return [Row("base (Debian with Python), for all", f"{base / 1e6:.0f} MB", ""), *rows, *_starts(engine)]


def _size(engine: Any, target: str, base: int) -> Row:
    size = engine.inspect_image(image(target))["Size"]
    return Row(f"size of {target}", f"{size / 1e6:.0f} MB", f"{(size - base) / 1e6:.0f} MB above the base")


def _starts(engine: Any) -> Iterator[Row]:
    """From the call that starts a container until it serves; workers join a producer that is there already."""
    port, scaler_port = str(free_port()), str(free_port())
    common = {
        "BUILDYARD_HOST": "127.0.0.1",
        "BUILDYARD_TOKEN": _TOKEN,
        "BUILDYARD_PORT": port,
        "BUILDYARD_SCALER_PORT": scaler_port,
        "BUILDYARD_API_URL": f"http://127.0.0.1:{port}",
    }
    slow = ["--host", "127.0.0.1", "--port", port]
    yield _start(engine, "slow-api", "first answer", _answers(int(port), "/stats"), {}, {}, slow)
    yield _start(engine, "producer", "first answer", _answers(int(port), "/api/v1/live"), common)
    with shared_volume(engine) as volume, running(engine, "producer", environment=common, volumes={volume: "/data"}):
        _until(_answers(int(port), "/api/v1/live"))
        for target in ("worker", "worker-dotnet"):
            settings = {**common, "BUILDYARD_DATA_DIR": "/data"}
            words = ["--pool", "linux", "--name", "bench"]
            yield _start(engine, target, "joined its pool", None, settings, {volume: "/data"}, words)
        answers = _answers(int(scaler_port), "/healthz")
        yield _start(engine, "scaler", "healthy", answers, common, {volume: "/data"})


def _start(
    engine: Any,
    target: str,
    what: str,
    serves: Callable[[], bool] | None,
    environment: Mapping[str, str],
    volumes: Mapping[str, str] | None = None,
    command: list[str] | None = None,
) -> Row:
    waits = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        with running(engine, target, command=command, environment=environment, volumes=volumes) as container:
            _until(serves or partial(_logged, container, "ready bench"))
            waits.append(time.perf_counter() - begun)
            engine.kill(container.id, signal="SIGTERM")
            container.exit_code()
    waits = waits[1:]  # the first one read the layers
    return Row(f"start of {target}: made, started, {what}", f"{median(waits):.2f} s", spread(waits, "s"))


def _logged(container: Container, words: str) -> bool:
    return words in container.log()


def _answers(port: int, path: str) -> Callable[[], bool]:
    def ask() -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", path)
            return connection.getresponse().status == 200
        return False

    return ask


def _until(well: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while not well():
        if time.monotonic() > end:
            raise NotMeasured(f"a container did not serve within {_PATIENCE_SECONDS} s")
        time.sleep(_LOOK_SECONDS)
