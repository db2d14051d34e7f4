"""RabbitMQ nodes of the tests' own, whose queues may lose their leaders: started, and told what to do from within."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import servers

_SERVERS = Path(__file__).resolve().parents[2] / ".ci" / "servers"
_CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_KEPT = ("HOME", "ERL_EPMD_ADDRESS", "ERL_EPMD_PORT")
PATIENCE = 400


@dataclass(frozen=True)
class Node:
    """One node: its addresses, and the environment and root folder that its own tools need."""

    amqp: str
    management: str
    root: str
    environment: dict[str, str]

    def evaluate(self, expression: str) -> str:
        """Run an Erlang expression on the node."""
        tool = [_CONTROL, "-q", "-n", self.environment["RABBITMQ_NODENAME"], "eval", expression]
        kept = {name: self.environment[name] for name in _KEPT}
        ran = subprocess.run(
            tool if self.root == "/" else ["chroot", self.root, *tool],
            env={"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "LANG": "C.UTF-8", **kept},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout.strip()

    def show_metrics(self) -> None:
        """Take quick ticks of queues declared from now on, and let the prometheus plugin answer."""
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        plugins = self.environment["RABBITMQ_ENABLED_PLUGINS_FILE"]
        self.evaluate(
            "application:set_env(rabbit, quorum_tick_interval, 300), application:load(rabbitmq_prometheus), "
            f'application:set_env(rabbitmq_prometheus, tcp_config, [{{port, {port}}}, {{ip, "127.0.0.1"}}]), '
            f'ok = file:write_file("{plugins}", "[rabbitmq_management,rabbitmq_prometheus]."), '
            f'{{ok, _, _}} = rabbit_plugins:ensure("{plugins}").'
        )

    def suspend_leader(self, queue: str) -> None:
        """The leader of a quorum queue lives and answers nobody, until the node ends."""
        self.evaluate(f"ok = sys:suspend(whereis('%2F_{queue}')).")

    def stop_leader(self, queue: str) -> None:
        """The only member of a quorum queue ends; its messages stay on disk."""
        self.evaluate(f"ok = ra:stop_server(quorum_queues, {{'%2F_{queue}', node()}}).")

    def start_leader(self, queue: str) -> None:
        """The member comes back."""
        self.evaluate(f"ok = ra:restart_server(quorum_queues, {{'%2F_{queue}', node()}}).")


@contextlib.contextmanager
def private_nodes() -> Iterator[dict[str, Node]]:
    """Nodes by name: rabbitmq3 and rabbitmq4. Skips where they cannot be started."""
    if os.geteuid() != 0 or not Path(_CONTROL).exists():
        servers.absent("Nodes of one's own need root and the packages of .ci/servers install")
    folder = Path(tempfile.mkdtemp(prefix="buildyard-nodes-"))
    try:
        started = subprocess.run(
            [str(_SERVERS), "start", str(folder)], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if started.returncode != 0:
            servers.absent(f".ci/servers start failed: {started.stderr[-500:]}")
        yield _nodes(folder)
    finally:
        subprocess.run([str(_SERVERS), "stop", str(folder)], capture_output=True, timeout=PATIENCE, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _nodes(folder: Path) -> dict[str, Node]:
    lines = (folder / "env").read_text().splitlines()
    told = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    pids = {line.split()[0]: line.split()[1] for line in (folder / "pids").read_text().splitlines()}
    places = {"rabbitmq3": servers.RABBITMQ_3, "rabbitmq4": servers.RABBITMQ_4}
    return {name: _node(pids[name], told[place.amqp], told[place.management]) for name, place in places.items()}


def _node(pid: str, amqp: str, management: str) -> Node:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return Node(amqp, management, str(Path(f"/proc/{pid}/root").readlink()), environment)
