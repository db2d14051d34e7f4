"""A running cluster as tests hold it: its kubeconfig, its API, its audit, and what can be done to its parts."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests import servers
from tests.cluster.audit import Audit
from tests.cluster.building import NotBuilt, programs
from tests.cluster.certificates import client_context, server_context
from tests.cluster.up import READY

KUBECONFIG = "BUILDYARD_TEST_KUBECONFIG"
"""Names a cluster to use in place of a throwaway one."""
_TO_END = 60.0


@dataclass(frozen=True)
class Cluster:
    """One cluster with an administrator's rights.

    `folder` holds the logs of a throwaway cluster's parts (`kube-apiserver.log`, ...), the folders of its pods and
    the audit; it is the kubeconfig's folder. A cluster that somebody else made has none of these.
    """

    kubeconfig: Path

    @property
    def folder(self) -> Path:
        return self.kubeconfig.parent

    @property
    def audit(self) -> Audit:
        """What was ended while it was busy."""
        return Audit(self.folder / "audit.jsonl")

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client of the API; paths begin with `/api` or `/apis`."""
        server, context = client_context(self.kubeconfig)
        with httpx.Client(base_url=server, verify=context, trust_env=False, timeout=30) as client:
            yield client

    def authority(self) -> ssl.SSLContext:
        """TLS that trusts the API server, for clients with credentials of their own."""
        return server_context(self.kubeconfig)

    @contextlib.contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace of one test's own; it and all in it are deleted in the end."""
        name = f"test-{secrets.token_hex(4)}"
        with self.client() as api:
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            api.post("/api/v1/namespaces", json=made).raise_for_status()
            try:
                yield name
            finally:
                api.delete(f"/api/v1/namespaces/{name}").raise_for_status()

    def control(self, verb: str, part: str) -> None:
        """`stop`, `start`, `freeze` or `thaw` a part such as `kube-apiserver`; done when this returns."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_TO_END)
            line.connect(str(self.folder / "control"))
            line.sendall(f"{verb} {part}\n".encode())
            answer = line.recv(1000).decode().strip()
        assert answer == "done", answer


@contextlib.contextmanager
def cluster(nodes: int = 3) -> Iterator[Cluster]:
    """The cluster that BUILDYARD_TEST_KUBECONFIG names, or a throwaway one for the length of the block."""
    if given := os.environ.get(KUBECONFIG):
        yield Cluster(Path(given).resolve())
        return
    try:
        programs()
    except NotBuilt as error:
        servers.absent(str(error))
    with tempfile.TemporaryDirectory(prefix="buildyard-cluster-", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "tests.cluster.up", "--while-stdin", "--folder", folder, "--nodes", f"{nodes}"]
        with subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the tests lets it end in its own order
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            line = process.stdout.readline().decode()
            if not line.startswith(READY):
                pytest.fail(f"The throwaway cluster did not start: {process.stderr.read().decode()}")
            try:
                yield Cluster(Path(folder, "admin.kubeconfig"))
            finally:
                process.stdin.close()
                process.wait(_TO_END)
