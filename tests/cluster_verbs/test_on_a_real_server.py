"""The verbs against a real API server: what is applied is taken, what waits is told, and nothing is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cluster.__main__ import main
from cluster.passwords import SECRETS
from tests import servers
from tests.cluster.running import Cluster


@pytest.fixture
def context(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The context of the cluster's kubeconfig, where the verbs find it."""
    servers.need("kubectl")
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return str(json.loads(cluster.kubeconfig.read_text())["current-context"])


def kinds_of(cluster: Cluster, *paths: str) -> list[str]:
    """The names of what is in the farm's namespace, by API path."""
    found = []
    with cluster.client() as api:
        for path in paths:
            answer = api.get(path)
            found += [item["metadata"]["name"] for item in answer.json().get("items", ())]
    return found


def test_up_down_and_up_again_on_a_real_api_server(
    cluster: Cluster, context: str, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    deployments = "/apis/apps/v1/namespaces/buildyard/deployments"
    claims = "/api/v1/namespaces/buildyard/persistentvolumeclaims"
    up = ("up", "--context", context, "--overlay", "minikube", "--timeout", "3")

    code = main(up)
    said = capfd.readouterr()
    assert "Applying k8s/overlays/minikube" in said.out, said.err
    assert code == 0 or "Not all was ready within 3 s" in said.err
    assert {"producer", "scaler"} <= set(kinds_of(cluster, deployments))
    passwords = (checkout / "k8s/base/secrets/postgres.env").read_text()

    shutil.rmtree(checkout / "k8s/base/secrets")  # as another checkout has it
    main(up)
    assert "The passwords are those of the farm" in capfd.readouterr().out
    assert (checkout / "k8s/base/secrets/postgres.env").read_text() == passwords
    assert len(list((checkout / "k8s/base/secrets").iterdir())) == len(SECRETS)

    assert main(("status", "--context", context)) == 0
    screen = capfd.readouterr().out
    assert "producer" in screen
    assert len(screen.splitlines()) <= 24

    assert main(("down", "--context", context)) == 2, "there is nobody to ask"
    assert kinds_of(cluster, deployments)
    assert main(("down", "--context", context, "--yes", "--keep-data")) == 0, capfd.readouterr().err
    assert kinds_of(cluster, deployments) == []
    assert kinds_of(cluster, claims)

    assert main(("down", "--context", context, "--yes", "--delete-data")) == 0, capfd.readouterr().err
    assert kinds_of(cluster, "/api/v1/namespaces").count("buildyard") == 0
    assert not [name for name in kinds_of(cluster, "/apis/scheduling.k8s.io/v1/priorityclasses") if "buildyard" in name]
    assert not (checkout / "k8s/base/secrets").exists()
