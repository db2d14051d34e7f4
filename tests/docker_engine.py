"""The Docker engine of the tests: `BUILDYARD_TEST_DOCKER` names it, else the usual socket is tried.

`.ci/images` starts one and builds the images that tests ask for by name; see `tests/servers.py` for what absence means.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import threading
from functools import cache
from pathlib import Path

import docker
import pytest

from bench.containers import DOCKER, client, image
from tests import servers

__all__ = ["BASE", "Breaker", "client", "host", "image", "remove_farm"]

BASE = "buildyard/base:test"
"""A Debian with Python and nothing of ours."""


def host(*images: str) -> str:
    """The address of an engine that has these images, or no test at all."""
    given = os.environ.get(DOCKER)
    url = given or "unix:///var/run/docker.sock"
    missing, trouble = _missing(url, images)
    if trouble and given:
        pytest.fail(f"The engine at {DOCKER} does not answer: {trouble}")
    if trouble:
        servers.absent(f"No Docker engine at {url}: {trouble}")
    if missing:
        servers.absent(f"The engine at {url} has no image {missing}: .ci/images builds them")
    return url


@cache
def _images(url: str) -> tuple[frozenset[str], str]:
    try:
        with socket.socket(socket.AF_UNIX) as probe:  # the library leaves the socket of a refused connection open
            probe.connect(url.removeprefix("unix://"))
        with client(url) as engine:
            return frozenset(tag for row in engine.images() for tag in row["RepoTags"] or ()), ""
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no engine to test with
        return frozenset(), str(error)


def _missing(url: str, images: tuple[str, ...]) -> tuple[str, str]:
    there, trouble = _images(url)
    return ", ".join(sorted(set(images) - there)), trouble


def remove_farm(url: str, farm: str) -> None:
    """Remove all containers of a test's farm, running ones too."""
    with client(url) as engine:
        for row in engine.containers(all=True, filters={"label": f"buildyard.farm={farm}"}):
            with contextlib.suppress(docker.errors.NotFound):
                engine.remove_container(row["Id"], v=True, force=True)


class Breaker:
    """A socket of a test's own that leads to the engine until `close` cuts it, with all connections through it."""

    def __init__(self, url: str, socket_path: Path) -> None:
        self.url = f"unix://{socket_path}"
        target = url.removeprefix("unix://")
        ends: set[socket.socket] = set()
        self._ends = ends

        class Forward(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                near: socket.socket = self.request
                with socket.socket(socket.AF_UNIX) as far:
                    far.connect(target)
                    ends.update({near, far})
                    back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                    back.start()
                    _pump(near, far)
                    back.join()
                ends.difference_update({near, far})

        class Server(socketserver.ThreadingUnixStreamServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Server(str(socket_path), Forward)
        self._path = socket_path
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut everything; once more does nothing."""
        self._server.shutdown()
        self._thread.join()
        for end in tuple(self._ends):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        source.shutdown(socket.SHUT_RDWR)
