"""What is missing is told with its remedy, and nothing is changed then."""

from __future__ import annotations

import pytest

from tests.cluster_verbs.conftest import Maker
from tests.cluster_verbs.machine import YES, Answer, Machine, items

CONTEXTS = Answer("config get-contexts", output="here\nproduction\n")


@pytest.fixture
def kubectl(machine: Maker) -> Machine:
    made = machine("kubectl")
    made.says(CONTEXTS)
    return made


def refused(machine: Machine, *words: str) -> str:
    """What was said; the exit code is that of a mistake, and nothing was changed."""
    code, _, complaint = machine.run(*words)
    assert code == 2, complaint
    assert complaint.count("\n") == 1, "one line"
    assert machine.changed() == []
    return complaint


@pytest.mark.parametrize("verb", ["up", "down", "forward", "status", "logs"])
def test_a_machine_without_kubectl_is_told_where_to_get_it(machine: Maker, verb: str) -> None:
    said = refused(machine(), verb)

    assert said.startswith("kubectl is not on PATH. Install it: https://kubernetes.io/")


def test_without_minikube_and_kind_a_cluster_has_to_be_named(kubectl: Machine) -> None:
    said = refused(kubectl, "up")

    assert "Neither minikube nor kind is installed, and no --context says which cluster is meant." in said
    assert "Known here: here, production." in said


def test_a_context_that_nobody_knows_is_told_with_those_that_are_known(kubectl: Machine) -> None:
    assert "no context 'elsewhere'. Known here: here, production." in refused(kubectl, "up", "--context", "elsewhere")


def test_a_cluster_that_is_not_local_gets_nothing_that_was_not_named(kubectl: Machine) -> None:
    assert "Add --overlay production" in refused(kubectl, "up", "--context", "production")


def test_a_kubeconfig_that_cannot_be_read_is_told_in_kubectls_words(kubectl: Machine) -> None:
    kubectl.says(Answer("config get-contexts", 1, "", "error: error loading config file: yaml: line 3\n"))

    assert "error loading config file: yaml: line 3 Correct the kubeconfig" in refused(kubectl, "status")


@pytest.mark.parametrize(
    "words",
    [
        "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
        "You must be logged in to the server (the server has asked for the client to provide credentials)",
        "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired",
    ],
)
def test_a_cluster_that_does_not_answer_or_a_login_that_expired_is_told(kubectl: Machine, words: str) -> None:
    kubectl.says(CONTEXTS, Answer("get --raw=/apis", 1, "", f"{words}\n"))

    said = refused(kubectl, "up", "--context", "here", "--overlay", "hpa")

    assert "The cluster of the context here cannot be used" in said
    assert words in said
    assert "is the login in the kubeconfig still valid?" in said


def test_rights_that_are_missing_are_listed(kubectl: Machine) -> None:
    no = [Answer(f"can-i create {what} ", 1, "no\n") for what in ("secrets", "deployments.apps")]
    kubectl.says(CONTEXTS, *no, YES)

    said = refused(kubectl, "up", "--context", "here", "--overlay", "hpa")

    assert "You may not create deployments.apps, secrets on here." in said


def test_a_cluster_without_keda_does_not_get_what_needs_it(kubectl: Machine) -> None:
    kubectl.says(CONTEXTS, YES)

    said = refused(kubectl, "up", "--context", "here", "--overlay", "keda")

    assert "does not know scaledjobs.keda.sh: KEDA is not installed there. Install KEDA" in said


@pytest.mark.parametrize("local", ["minikube", "kind"])
def test_images_need_docker_and_that_is_told_before_a_cluster_is_started(machine: Maker, local: str) -> None:
    assert "Not on PATH: docker." in refused(machine("kubectl", local), "up")


def test_a_local_cluster_that_is_named_but_whose_program_is_not_there(kubectl: Machine) -> None:
    assert "Not on PATH: minikube, docker. minikube: Install it: https://" in refused(
        kubectl, "up", "--context", "minikube"
    )


def test_logs_of_a_part_that_there_is_not(kubectl: Machine) -> None:
    assert "There is no part 'database'. Parts are: producer" in refused(
        kubectl, "logs", "--context", "here", "database"
    )


def test_down_asks_and_without_anybody_to_ask_changes_nothing(kubectl: Machine) -> None:
    kubectl.says(CONTEXTS, YES, FARM, workers(2), CLAIMS)

    assert "Nobody can be asked: Take the farm on here away? 2 workers run" in refused(
        kubectl, "down", "--context", "here"
    )
    assert "Add --delete-data or --keep-data." in refused(kubectl, "down", "--context", "here", "--yes")


FARM = Answer("get namespace buildyard --ignore-not-found", output="namespace/buildyard\n")
CLAIMS = items(
    " get persistentvolumeclaims ",
    {"metadata": {"name": "data-postgres-0"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}},
)


def workers(number: int) -> Answer:
    labels = {"app.kubernetes.io/component": "worker"}
    pods = [{"metadata": {"name": f"w{n}", "labels": labels}, "status": {"phase": "Running"}} for n in range(number)]
    return items(" get pods ", *pods)
