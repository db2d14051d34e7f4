"""What the verbs do, step by step, on machines with fakes: starting, building, applying, waiting, taking away."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest

import buildyard
from cluster import up
from cluster.images import IMAGES
from cluster.passwords import SECRETS
from tests.cluster_verbs.conftest import Maker
from tests.cluster_verbs.machine import YES, Answer, Machine, items
from tests.cluster_verbs.test_seen import part, waiting

NO_CONTEXTS = Answer("config get-contexts")
RUNNING = Answer("minikube status", output='{"APIServer": "Running"}')
LOADED = Answer(
    "minikube image ls", output="".join(f"docker.io/buildyard/{n}:{buildyard.__version__}\n" for n in IMAGES)
)
READY = items("get deployments,statefulsets", part("producer", 1, 1), part("scaler", 1, 1))
FARM = Answer("get namespace buildyard --ignore-not-found", output="namespace/buildyard\n")
CLAIM = {"metadata": {"name": "data-postgres-0"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
NO_SECRETS, NO_PODS = items("get secrets"), items(" get pods ")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "_LOOK_SECONDS", 0.01)


def test_from_nothing_minikube_is_started_images_are_built_and_all_is_applied(machine: Maker, checkout: Path) -> None:
    fakes = machine("kubectl", "minikube", "docker")
    fakes.says(NO_CONTEXTS, Answer("minikube status", 7), YES, NO_SECRETS, READY)

    code, out, complaint = fakes.run("up")

    assert (code, complaint) == (0, "")
    steps = fakes.changed()
    assert steps[0].startswith("minikube start --cpus 4 --memory 8g")
    assert [step for step in steps if step.startswith("docker build")] == [
        f"docker build --quiet --target {name} --tag buildyard/{name}:{buildyard.__version__} {checkout}"
        for name in IMAGES
    ]
    assert [step.split()[3] for step in steps if "image load" in step] == [
        f"buildyard/{name}:{buildyard.__version__}" for name in IMAGES
    ]
    assert "apply --server-side" in steps[-1]
    assert out.endswith("is ready on minikube. Next: ./manage.sh forward\n")
    secrets = checkout / "k8s/base/secrets"
    assert sorted(file.stem for file in secrets.iterdir()) == sorted(SECRETS)
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o600}


def test_a_second_up_builds_and_starts_nothing_and_keeps_the_passwords(machine: Maker, checkout: Path) -> None:
    fakes = machine("kubectl", "minikube", "docker")
    fakes.says(NO_CONTEXTS, RUNNING, YES, NO_SECRETS, LOADED, READY)
    assert fakes.run("up")[0] == 0
    passwords = (checkout / "k8s/base/secrets/worker.env").read_text()

    assert fakes.run("up")[0] == 0

    assert all("apply" in step for step in fakes.changed())
    assert (checkout / "k8s/base/secrets/worker.env").read_text() == passwords


def test_another_checkout_takes_the_passwords_of_the_farm_that_is_there(machine: Maker, checkout: Path) -> None:
    def secret(name: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "data": {"KEY": base64.b64encode(f"of {name}".encode()).decode()}}

    held = [secret(name if name == "worker" else f"{name}-abc2456789") for name in SECRETS]
    fakes = machine("kubectl", "minikube", "docker")
    fakes.says(NO_CONTEXTS, RUNNING, YES, items("get secrets", *held), LOADED, READY)

    assert fakes.run("up")[0] == 0

    secrets = checkout / "k8s/base/secrets"
    assert (secrets / "postgres.env").read_text() == "KEY=of postgres-abc2456789\n"
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets.iterdir()} == {0o600}


def test_passwords_of_another_farm_are_not_brought_to_the_one_that_is_there(machine: Maker, checkout: Path) -> None:
    fakes = machine("kubectl", "minikube", "docker")
    fakes.says(NO_CONTEXTS, RUNNING, YES, NO_SECRETS, LOADED, READY)
    assert fakes.run("up")[0] == 0
    other = {"POSTGRES_PASSWORD": base64.b64encode(b"another").decode()}
    held = {"metadata": {"name": "postgres-abc2456789"}, "type": "Opaque", "data": other}
    fakes.says(NO_CONTEXTS, RUNNING, YES, items("get secrets", held), LOADED, READY)
    before = len(fakes.changed())

    code, _, complaint = fakes.run("up")

    assert code == 2
    assert "POSTGRES_PASSWORD differ" in complaint
    assert len(fakes.changed()) == before, "nothing is applied"
    assert (checkout / "k8s/base/secrets").exists()


def test_what_the_server_refuses_in_the_dry_run_is_told_and_not_applied(machine: Maker) -> None:
    fakes = machine("kubectl", "minikube", "docker")
    refusal = Answer("--dry-run=server", 1, "", "Error from server (Forbidden): exceeded quota: small\n")
    fakes.says(NO_CONTEXTS, RUNNING, YES, NO_SECRETS, LOADED, refusal)

    code, _, complaint = fakes.run("up")

    assert code == 1
    assert "exceeded quota: small" in complaint
    assert fakes.changed() == []


def test_a_farm_that_does_not_become_ready_ends_with_what_waits_for_what(machine: Maker) -> None:
    fakes = machine("kubectl", "minikube", "docker")
    parts = items("get deployments,statefulsets", part("producer", 2, 1), part("scaler", 1, 1))
    pods = items(" get pods ", waiting("producer-x", "ImagePullBackOff", "no such image"))
    fakes.says(NO_CONTEXTS, RUNNING, YES, NO_SECRETS, LOADED, parts, pods)

    code, out, complaint = fakes.run("up", "--timeout", "0.1")

    assert code == 1
    assert complaint.startswith("Not all was ready within 0.1 s: producer 1 of 2 ready. producer-x: ImagePullBackOff")
    assert out.count("producer 1 of 2 ready") == 1, "what did not change is told once"
    assert out.count("! producer-x: ImagePullBackOff: no such image") == 1


def down(machine: Maker, *words: str) -> tuple[Machine, str]:
    fakes = machine("kubectl", "minikube")
    kinds = Answer("api-resources", output="deployments.apps\npods\npersistentvolumeclaims\nsecrets\n")
    fakes.says(NO_CONTEXTS, YES, FARM, NO_PODS, items("get persistentvolumeclaims", CLAIM), kinds)
    code, out, complaint = fakes.run("down", "--yes", *words)
    assert (code, complaint) == (0, "")
    return fakes, out


def test_down_may_leave_the_data_and_nothing_else(machine: Maker, checkout: Path) -> None:
    secrets = checkout / "k8s/base/secrets"
    secrets.mkdir()

    fakes, out = down(machine, "--keep-data")

    first, jobs, wide = fakes.changed()
    assert " delete deployments.apps --selector=app.kubernetes.io/part-of=buildyard " in first
    assert " delete jobs --all " in jobs
    assert " delete priorityclasses.scheduling.k8s.io --selector=" in wide
    assert "The data stay: data-postgres-0." in out
    assert secrets.exists(), "the data are locked with these"


def test_down_with_the_data_leaves_nothing(machine: Maker, checkout: Path) -> None:
    secrets = checkout / "k8s/base/secrets"
    secrets.mkdir()

    fakes, out = down(machine, "--delete-data")

    namespace, wide = fakes.changed()
    assert " delete namespace buildyard " in namespace
    assert " delete priorityclasses.scheduling.k8s.io " in wide
    assert "Nothing of the farm is left" in out
    assert not secrets.exists()


def test_down_where_no_farm_is_changes_nothing(machine: Maker) -> None:
    fakes = machine("kubectl", "minikube")
    fakes.says(NO_CONTEXTS, YES)

    assert fakes.run("down")[:2] == (0, "There is no farm on minikube.\n")
    assert fakes.changed() == []


def test_status_is_one_screen(machine: Maker) -> None:
    fakes = machine("kubectl", "minikube")
    fakes.says(NO_CONTEXTS, YES, READY, NO_PODS, items("get persistentvolumeclaims", CLAIM))

    code, out, _ = fakes.run("status")

    assert code == 0
    assert "Buildyard on minikube" in out
    assert "All is ready. ./manage.sh forward opens it" in out


def test_logs_are_asked_for_by_part(machine: Maker) -> None:
    fakes = machine("kubectl", "minikube")
    fakes.says(NO_CONTEXTS, YES)

    assert fakes.run("logs", "worker", "--follow", "--tail", "5")[0] == 0

    assert fakes.calls()[-1] == (
        "kubectl --context minikube --namespace buildyard logs --selector=app.kubernetes.io/component in (worker) "
        "--all-containers --prefix --tail=5 --follow --max-log-requests=50"
    )


def test_images_for_kind_are_loaded_into_its_cluster(machine: Maker) -> None:
    fakes = machine("kubectl", "kind", "docker")
    fakes.says(NO_CONTEXTS)

    assert fakes.run("images", "worker-dotnet")[0] == 0

    assert fakes.changed()[-1] == (
        f"kind load docker-image buildyard/worker-dotnet:{buildyard.__version__} --name buildyard"
    )
