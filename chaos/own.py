"""Servers of a run's own, which it may kill: started in a folder that goes with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.servers import Server
from chaos.yard import BROKER, STORE, Servers

KINDS = {"rabbitmq3": "BUILDYARD_TEST_AMQP_URL", "rabbitmq4": "BUILDYARD_TEST_AMQP4_URL"}
"""The brokers that can be started, and the variable that holds the address of each."""
_POSTGRES_URL = "BUILDYARD_TEST_POSTGRES_URL"
_TOOL = Path(__file__).resolve().parents[1] / ".ci" / "servers"
_INSTALLED = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_SECONDS = 120


class NoServers(Exception):
    """Servers cannot be started here; the sentence says why."""


@contextmanager
def own_servers() -> Iterator[dict[str, Servers]]:
    """RabbitMQ 3.10 and 4 by their names in `KINDS`, each beside the same PostgreSQL, for the length of the block.

    Raises:
        NoServers: this user may not start them, or what `.ci/servers install` brings is missing.
    """
    if os.geteuid() != 0 or not _INSTALLED.exists():
        raise NoServers("Servers of one's own need root and what `.ci/servers install` brings.")
    folder = Path(tempfile.mkdtemp(prefix="buildyard-servers-"))
    own: dict[str, Server] = {}
    try:
        started = _tool("start", folder)
        if started.returncode != 0:
            raise NoServers(f".ci/servers start failed: {started.stderr[-500:]}")
        pids = dict(line.split()[:2] for line in (folder / "pids").read_text().splitlines())
        own = {name: Server.of(int(pids[name])) for name in (*KINDS, "postgres")}
        yield _by_broker(folder, own)
    finally:
        for server in own.values():
            server.end()
        _tool("stop", folder)
        shutil.rmtree(folder, ignore_errors=True)


def _by_broker(folder: Path, own: dict[str, Server]) -> dict[str, Servers]:
    lines = (folder / "env").read_text().splitlines()
    told = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    return {
        name: Servers(told[variable], told[_POSTGRES_URL], {BROKER: own[name], STORE: own["postgres"]})
        for name, variable in KINDS.items()
    }


def _tool(verb: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_TOOL), verb, str(folder)], capture_output=True, text=True, timeout=_SECONDS, check=False
    )
