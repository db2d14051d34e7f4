"""The throwaway control plane itself: which processes, with which options, in which order, and how they end.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler, KWOK (it keeps the nodes alive) and `backing.py` (it
runs what the pods on them are to run). All listen on free ports of loopback, all files are in one folder, each
process has its log there, and each is ended by its number. RBAC is on, admission plugins are Kubernetes' defaults.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.addresses import REAL_NODE, own_addresses
from tests.cluster.building import programs
from tests.cluster.certificates import Authority, Pair, client_context, service_account_keys
from tests.cluster.stages import stages

PATIENCE = 180.0
"""Seconds until a part that should be ready counts as broken: machines may be slow, and busy with a build."""
MASTERS = "system:masters"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "backing")
NODE_KIND = "buildyard.test/backed"
"""Label of nodes whose pods are backed by real processes."""


class NotStarted(Exception):
    """A part of the control plane did not come up; the sentence ends with the last lines of its log."""


class ControlPlane:
    """Starts, stops, freezes and ends the processes of one cluster whose files are in `folder`."""

    def __init__(self, folder: Path, nodes: int = 3) -> None:
        self.folder = folder
        self.kubeconfig = folder / "admin.kubeconfig"
        self._nodes = nodes
        self._binaries = programs()
        self._ports = dict(zip(("api", "etcd", "peer", "kubelet", "kwok"), _free_ports(5), strict=True))
        self._server = f"https://127.0.0.1:{self._ports['api']}"
        self._commands: dict[str, list[str]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    # ---------------------------------------------------------------- from outside

    def open(self) -> None:
        """Start everything and return when pods can be made. Raises NotStarted; what runs is then still to be ended."""
        self.folder.chmod(0o700)
        self._prepare()
        self.start("etcd")
        self._wait("etcd", lambda: _listens(self._ports["etcd"]))
        self.start("kube-apiserver")
        _, context = client_context(self.kubeconfig)
        with httpx.Client(base_url=self._server, verify=context, trust_env=False, timeout=30) as api:
            self._wait("kube-apiserver", lambda: api.get("/readyz").status_code == httpx.codes.OK)
            self.start("kube-controller-manager")
            self.start("kube-scheduler")
            for number in range(1, self._nodes + 1):
                self._join(api, f"node-{number}")
            self.start("kwok")
            self.start("backing")
            self._wait("kwok", lambda: self._nodes_are_ready(api))
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait("kube-controller-manager", lambda: api.get(account).status_code == httpx.codes.OK)
        self._wait("backing", lambda: _listens(self._ports["kubelet"]))

    def start(self, part: str) -> None:
        """Start a part; nothing happens when it runs."""
        if self.runs(part):
            return
        with (self.folder / f"{part}.log").open("ab") as log:
            self._running[part] = subprocess.Popen(
                self._commands[part],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        numbers = {name: process.pid for name, process in self._running.items()}
        (self.folder / "pids.json").write_text(json.dumps(numbers))

    def stop(self, part: str) -> None:
        """Kill a part and wait until it is gone: connections to it are refused from now on."""
        process = self._running.pop(part, None)
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self, part: str) -> None:
        """Let a part hang: it accepts connections and answers nobody."""
        self._running[part].send_signal(signal.SIGSTOP)

    def thaw(self, part: str) -> None:
        """End what `freeze` began."""
        self._running[part].send_signal(signal.SIGCONT)

    def runs(self, part: str) -> bool:
        """Whether a part was started and has not ended."""
        process = self._running.get(part)
        return process is not None and process.poll() is None

    def close(self) -> None:
        """End everything; the backing goes first, so that it ends the pods' processes."""
        for part in sorted(self._running, key=lambda name: name != "backing"):
            process = self._running.pop(part)
            process.send_signal(signal.SIGCONT)
            if part == "backing":
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE)
            process.kill()
            process.wait()

    # ---------------------------------------------------------------- how each part is started

    def _prepare(self) -> None:
        """Certificates, keys and kubeconfigs, then the command of each part."""
        authority = Authority(self.folder)
        serving = authority.sign("serving")
        accounts = service_account_keys(self.folder)
        users = {
            "admin": MASTERS,
            "system:kube-controller-manager": "",
            "system:kube-scheduler": "",
            "kwok": MASTERS,
            "backing": MASTERS,
        }
        configs = {user: str(authority.kubeconfig(self._server, user, group)) for user, group in users.items()}
        authority.kubeconfig(self._server, f"system:node:{REAL_NODE}", "system:nodes")  # for real_node.py
        authority.sign("kubelet", addresses=own_addresses())
        etcd = f"http://127.0.0.1:{self._ports['etcd']}"
        self._prepare_etcd(etcd)
        self._prepare_api_server(etcd, authority, serving, accounts)
        self._prepare_controllers(authority, accounts, configs)
        self._prepare_nodes(authority, serving, configs)

    def _prepare_etcd(self, url: str) -> None:
        peer = f"http://127.0.0.1:{self._ports['peer']}"
        self._command(
            "etcd",
            {
                "data-dir": self.folder / "etcd",
                "listen-client-urls": url,
                "advertise-client-urls": url,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
                "unsafe-no-fsync": "true",  # nothing here outlives its machine
                "quota-backend-bytes": 4 * 2**30,
                "log-level": "warn",
            },
        )

    def _prepare_api_server(self, etcd: str, authority: Authority, serving: Pair, accounts: Pair) -> None:
        to_kubelet = authority.sign("kube-apiserver-to-kubelet", MASTERS)
        self._command(
            "kube-apiserver",
            {
                "etcd-servers": etcd,
                "bind-address": "127.0.0.1",
                "secure-port": self._ports["api"],
                "endpoint-reconciler-type": "none",  # it refuses loopback
                "tls-cert-file": serving.certificate,
                "tls-private-key-file": serving.key,
                "client-ca-file": authority.certificate,
                "authorization-mode": "Node,RBAC",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": accounts.certificate,
                "service-account-signing-key-file": accounts.key,
                "service-cluster-ip-range": "10.96.0.0/16",
                "kubelet-client-certificate": to_kubelet.certificate,
                "kubelet-client-key": to_kubelet.key,
                "kubelet-certificate-authority": authority.certificate,
                "kubelet-preferred-address-types": "InternalIP",
                "audit-policy-file": self._written("requests-policy.yaml", json.dumps(_REQUESTS_OF_SERVICES)),
                "audit-log-path": self.folder / "requests.log",
                "audit-log-mode": "blocking",  # who has his answer finds his request in the file
            },
        )

    def _prepare_controllers(self, authority: Authority, accounts: Pair, configs: Mapping[str, str]) -> None:
        """The controller manager and the scheduler: each is alone, and may ask as often as it wants."""
        alone = {"leader-elect": "false", "secure-port": "0", "kube-api-qps": 200, "kube-api-burst": 400}
        self._command(
            "kube-controller-manager",
            {
                "kubeconfig": configs["system:kube-controller-manager"],
                "service-account-private-key-file": accounts.key,
                "root-ca-file": authority.certificate,
                "use-service-account-credentials": "true",
                **alone,
            },
        )
        self._command("kube-scheduler", {"kubeconfig": configs["system:kube-scheduler"], **alone})

    def _prepare_nodes(self, authority: Authority, serving: Pair, configs: Mapping[str, str]) -> None:
        """KWOK, which keeps the nodes alive, and what stands behind their pods."""
        self._command(
            "kwok",
            {
                "kubeconfig": configs["kwok"],
                "config": self._written("stages.yaml", stages()),
                "manage-nodes-with-label-selector": f"{NODE_KIND}=true",
                "server-address": f"127.0.0.1:{self._ports['kwok']}",
                "node-ip": "127.0.0.1",
                "node-port": self._ports["kubelet"],
                "node-lease-duration-seconds": 40,
            },
        )
        self._commands["backing"] = [
            *(sys.executable, "-m", "tests.cluster.backing"),
            *("--kubeconfig", configs["backing"]),
            *("--folder", str(self.folder)),
            *("--port", str(self._ports["kubelet"])),
            *("--certificate", str(serving.certificate), "--key", str(serving.key)),
            *("--authority", str(authority.certificate)),
        ]

    def _command(self, part: str, options: Mapping[str, object]) -> None:
        words = [f"--{name}={value}" for name, value in options.items()]
        self._commands[part] = [str(self._binaries / part), *words]

    def _written(self, name: str, content: str) -> Path:
        file = self.folder / name
        file.write_text(content)
        return file

    def _join(self, api: httpx.Client, name: str) -> None:
        """Make a node; KWOK gives it its conditions and its heartbeat."""
        labels = {
            NODE_KIND: "true",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        api.post("/api/v1/nodes", json=node).raise_for_status()
        room = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "500"}
        status = {
            "capacity": room,
            "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._ports["kubelet"]}},
        }
        kind = {"content-type": "application/merge-patch+json"}
        patch = json.dumps({"status": status})
        api.patch(f"/api/v1/nodes/{name}/status", content=patch, headers=kind).raise_for_status()

    def _nodes_are_ready(self, api: httpx.Client) -> bool:
        nodes: list[dict[str, Any]] = api.get("/api/v1/nodes").raise_for_status().json()["items"]
        ready = [c for node in nodes for c in node["status"].get("conditions", ()) if c["type"] == "Ready"]
        tainted = any(node["spec"].get("taints") for node in nodes)
        return len(ready) == self._nodes and all(one["status"] == "True" for one in ready) and not tainted

    def _wait(self, part: str, condition: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self.runs(part):
                break
            with contextlib.suppress(httpx.HTTPError):
                if condition():
                    return
            time.sleep(0.1)
        lines = (self.folder / f"{part}.log").read_text(errors="replace").splitlines()[-15:]
        state = "is not ready" if self.runs(part) else "has ended"
        raise NotStarted("\n".join([f"{part} {state}:", *lines]))


_REQUESTS_OF_SERVICES = {
    # What pods of a farm ask of the API server, for tests of their rights; nobody else's requests.
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "namespaces": ["kube-system"]},
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    ],
}


def _environment() -> dict[str, str]:
    """What the programs see of ours: no proxy, no kubeconfig of the user's."""
    kept = {name: value for name in ("PATH", "HOME", "LANG", "TMPDIR") if (value := os.environ.get(name))}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[2])}


def _free_ports(count: int) -> Iterator[int]:
    """Ports of loopback that nobody holds now; all are held until the last one is known, so that they differ."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        ports = [int(one.getsockname()[1]) for one in held]
    return iter(ports)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
