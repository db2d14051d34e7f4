"""A node with a real kubelet, containerd and runc, added to the throwaway cluster for the length of a test.

Pods on it are containers with a network namespace of their own (CNI's `ptp`), and their logs are what containerd wrote.
It is tainted, so that only a pod that tolerates `TAINT` comes here. Needs root, Debian's `containerd`, `runc` and
`containernetworking-plugins`, and a Docker engine to take the images from, since no registry is asked. Pods find the
servers of the test by name, as they find Services: `names.py` answers. It changes the machine's network while it runs,
and its kubelet is built first, so it is used only where BUILDYARD_TEST_REAL_NODE is 1.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import docker_engine, servers
from tests.cluster.addresses import REAL_NODE, own_addresses
from tests.cluster.building import NotBuilt, kubelet
from tests.cluster.running import Cluster

ASKED_FOR = "BUILDYARD_TEST_REAL_NODE"
PATIENCE = 180.0
TAINT = "buildyard.test/real"
PLUGINS = Path("/usr/lib/cni")
PAUSE = "docker.io/buildyard/pause:test"
_TOOLS = ("containerd", "ctr", "runc", "docker")
_NETWORK = "10.231.77.0/24"


@dataclass(frozen=True)
class RealNode:
    """A node that takes pods."""

    address: str
    """Of this machine, as its pods reach it."""
    folder: Path


@contextlib.contextmanager
def real_node(cluster: Cluster, *images: str) -> Iterator[RealNode]:
    """A node that has these images of the tests' Docker engine; in the end all of it is gone."""
    address = _needs(cluster)
    engine = docker_engine.host(*images)
    try:
        program = kubelet()
    except NotBuilt as error:
        servers.absent(str(error))
    folder = cluster.folder / REAL_NODE
    folder.mkdir()
    with contextlib.ExitStack() as stack:
        runtime = _Runtime(folder)
        stack.callback(runtime.close)
        runtime.open()
        runtime.load(engine, images)
        stack.callback(_forget, cluster)
        process = stack.enter_context(_kubelet(program, cluster, folder, runtime.socket, address))
        _until(lambda: _is_ready(cluster), process, folder / "kubelet.log")
        yield RealNode(address, folder)
        runtime.kill_all()


def _needs(cluster: Cluster) -> str:
    """The machine's address, when all is there that a node needs; or no test at all."""
    if os.environ.get(ASKED_FOR) != "1":
        pytest.skip(f"A real node is used only where {ASKED_FOR}=1")
    if sys.platform != "linux" or os.geteuid() != 0:
        servers.absent("A real node needs Linux and root")
    for tool in _TOOLS:
        servers.need(tool)
    if not (PLUGINS / "ptp").exists():
        servers.absent(f"{PLUGINS} has no ptp: install containernetworking-plugins")
    if not (cluster.folder / "kubelet.crt").exists():
        servers.absent("This cluster is somebody else's: nobody signs a certificate for a node")
    addresses = own_addresses()
    return addresses[0] if addresses else servers.absent("This machine has no address beside loopback")


class _Runtime:
    """containerd with a socket, state and images of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "containerd.sock"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        network = {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": _NETWORK}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                        "dataDir": str(self._folder / "addresses"),
                    },
                }
            ],
        }
        (self._folder / "network").mkdir()
        (self._folder / "network" / "10-pods.conflist").write_text(json.dumps(network))
        config = self._folder / "containerd.toml"
        # A machine may not let anybody lower the score by which it kills for memory: then no pod could begin.
        config.write_text(
            f'version = 2\nroot = "{self._folder}/images"\nstate = "{self._folder}/state"\n'
            f'[grpc]\naddress = "{self.socket}"\n'
            f'[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "{PAUSE}"\nrestrict_oom_score_adj = true\n'
            "disable_apparmor = true\n"
            f'[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "{PLUGINS}"\nconf_dir = "{self._folder}/network"\n'
        )
        log = self._folder / "containerd.log"
        self._process = _started(["containerd", "--config", str(config)], log)
        _until(lambda: self._ctr("version").returncode == 0, self._process, log)

    def load(self, engine: str, images: tuple[str, ...]) -> None:
        """Take images from an engine, and one that does nothing, for the container that holds a pod together."""
        docker = ("docker", "--host", engine)
        pause = PAUSE.removeprefix("docker.io/")
        made = _output(*docker, "create", images[0])
        _output(*docker, "commit", "--change", 'ENTRYPOINT ["sleep","infinity"]', "--change", "CMD []", made, pause)
        _output(*docker, "rm", made)
        file = self._folder / "images.tar"
        _output(*docker, "save", "--output", str(file), pause, *images)
        loaded = self._ctr("images", "import", str(file))
        file.unlink()
        assert loaded.returncode == 0, loaded.stderr

    def kill_all(self) -> None:
        """End what is left of pods: they would outlive containerd."""
        for task in self._ctr("tasks", "list", "--quiet").stdout.split():
            self._ctr("tasks", "delete", "--force", task)

    def close(self) -> None:
        """End containerd, and take away what it mounted."""
        if self._process is not None:
            self.kill_all()
            _end(self._process)
        mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for place in reversed([one for one in mounted if one.startswith(f"{self._folder}/")]):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)

    def _ctr(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["ctr", "--address", str(self.socket), "--namespace", "k8s.io", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)


@contextlib.contextmanager
def _kubelet(
    program: Path, cluster: Cluster, folder: Path, runtime: Path, address: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A kubelet with the rights of its node and no others."""
    never = dict.fromkeys(("memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available"), "0%")
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{runtime}",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        "failCgroupV1": False,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(cluster.folder / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": str(cluster.folder / "kubelet.crt"),
        "tlsPrivateKeyFile": str(cluster.folder / "kubelet.key"),
        "address": address,
        "healthzPort": 0,
        "readOnlyPort": 0,
        "registerWithTaints": [{"key": TAINT, "value": "true", "effect": "NoSchedule"}],
        "clusterDNS": [address],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "evictionHard": never,  # a machine that is nearly full is no matter of this test
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": False,
        "localStorageCapacityIsolation": False,
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "plugins"),
    }
    file = folder / "kubelet.json"
    file.write_text(json.dumps(config))
    command = [
        *(str(program), "--config", str(file), "--root-dir", str(folder / "kubelet")),
        *("--kubeconfig", str(cluster.folder / f"system-node-{REAL_NODE}.kubeconfig")),
        *("--hostname-override", REAL_NODE, "--node-ip", address, "--node-labels", f"{TAINT}=true"),
    ]
    process = _started(command, folder / "kubelet.log")
    try:
        yield process
    finally:
        _end(process)


def _is_ready(cluster: Cluster) -> bool:
    with cluster.client() as api:
        found = api.get(f"/api/v1/nodes/{REAL_NODE}")
    if found.status_code != httpx.codes.OK:
        return False
    conditions = {one["type"]: one["status"] for one in found.json()["status"].get("conditions", ())}
    return conditions.get("Ready") == "True"


def _forget(cluster: Cluster) -> None:
    with cluster.client() as api:
        api.delete(f"/api/v1/nodes/{REAL_NODE}")


def _started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as said:
        return subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    process.kill()
    process.wait()


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _until(what: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines()[-15:]
            raise AssertionError("\n".join([f"{Path(process.args[0]).name} is not ready:", *lines]))  # type: ignore[index, arg-type]
        time.sleep(0.1)
