"""The Job of a worker: what every one of them keeps to, whatever its pool declares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildyard.contracts.pools_kubernetes import KubernetesPool, PodVolume
from buildyard.errors import InvalidRequest
from scaler.executors.kubernetes_answers import NEEDED, access_reviews
from scaler.executors.kubernetes_job import (
    FROM_SECRET,
    KEEP,
    NEVER_TOLD,
    PROTECTED,
    disruption_budget,
    pool_of,
    protection,
    selector,
    worker_job,
)

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAME = "linux-3-7"
ENVIRONMENT = {
    "BUILDYARD_API_URL": "http://producer:8000",
    "BUILDYARD_BROKER_URL": "amqp://u:p@rabbitmq",
    "BUILDYARD_TOKEN": "t",
    "BUILDYARD_STORE_URL": "postgresql://u:p@db",
    "BUILDYARD_GRACE_SECONDS": "25",
}

pools = st.builds(
    KubernetesPool,
    image=st.from_regex(r"[a-z]{1,20}(:[a-z0-9]{1,9})?", fullmatch=True),
    priority_class=st.sampled_from(["", "top"]),
    runtime_class=st.sampled_from(["", "gvisor"]),
    service_account=st.sampled_from(["", "builds"]),
    environment_secret=st.sampled_from(["", "worker"]),
    environment=st.dictionaries(st.sampled_from(["BUILDYARD_DATA_DIR", "HOME", "A", "BUILDYARD_ENDS_AT"]), st.text()),
    labels=st.dictionaries(st.sampled_from(["team", PROTECTED, "buildyard.dev/worker"]), st.just("x")),
    annotations=st.dictionaries(st.sampled_from([*KEEP, "note"]), st.just("other")),
    node_selector=st.dictionaries(st.just("disk"), st.just("ssd")),
    volumes=st.just((PodVolume(name="cache", path="/cache", source={"persistentVolumeClaim": {"claimName": "c"}}),)),
    deadline_seconds=st.integers(60, 10**6),
    grace_seconds=st.integers(1, 10**4),
    user_namespaces=st.booleans(),
)


def job(pool: KubernetesPool | None = None, name: str = NAME) -> dict[str, Any]:
    return worker_job(pool or KubernetesPool(image="worker:1"), name, ENVIRONMENT, NOW)


def pod(pool: KubernetesPool | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = job(pool)["spec"]["template"]["spec"]
    return spec


def variables(pool: KubernetesPool | None = None) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod(pool)["containers"][0]["env"]}


@given(pools)
def test_no_pool_can_loosen_the_hardening(pool: KubernetesPool) -> None:
    spec = pod(pool)
    (container,) = spec["containers"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("hostPath" not in volume for volume in spec["volumes"])
    assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)


@given(pools)
def test_there_is_one_authority_over_retries_and_one_pod_at_a_time(pool: KubernetesPool) -> None:
    spec = job(pool)["spec"]

    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 0)
    assert spec["podReplacementPolicy"] == "Failed"
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert spec["ttlSecondsAfterFinished"] == pool.ttl_seconds


@given(pools)
def test_a_worker_is_told_an_end_that_is_no_later_than_its_jobs(pool: KubernetesPool) -> None:
    told = datetime.fromisoformat(variables(pool)["BUILDYARD_ENDS_AT"])

    assert told <= NOW + timedelta(seconds=job(pool)["spec"]["activeDeadlineSeconds"])


@given(pools)
def test_a_worker_has_ended_by_itself_before_the_platforms_grace_is_over(pool: KubernetesPool) -> None:
    assert int(variables(pool)["BUILDYARD_GRACE_SECONDS"]) <= pod(pool)["terminationGracePeriodSeconds"]
    assert pool.grace_seconds < 20 or int(variables(pool)["BUILDYARD_GRACE_SECONDS"]) <= pool.grace_seconds - 10


@given(pools)
def test_the_marks_of_a_worker_are_ours_whatever_a_pool_declares(pool: KubernetesPool) -> None:
    made = job(pool)
    template = made["spec"]["template"]["metadata"]

    for labels in (made["metadata"]["labels"], template["labels"]):
        assert labels["buildyard.dev/worker"] == NAME
        assert labels["buildyard.dev/pool"] == "linux"
        assert all(f"{key}={labels[key]}" in selector(pool.farm) for key in ("buildyard.dev/farm",))
    assert template["labels"][PROTECTED] == "true"
    assert KEEP.items() <= template["annotations"].items()
    assert variables(pool)["BUILDYARD_DATA_DIR"] == pool.work_path


@given(pools)
def test_a_job_holds_no_credentials_where_a_secret_does(pool: KubernetesPool) -> None:
    told = set(variables(pool))

    assert not told & NEVER_TOLD
    assert bool(told & FROM_SECRET) == (not pool.environment_secret)
    sources = pod(pool)["containers"][0].get("envFrom", [])
    assert sources == ([{"secretRef": {"name": "worker"}}] if pool.environment_secret else [])


def test_the_command_ends_with_pool_and_name() -> None:
    command = pod()["containers"][0]["command"]
    assert command == ["python", "-P", "-m", "worker", "--pool", "linux", "--name", NAME]


def test_two_scalers_make_the_same_job() -> None:
    assert job() == job()


def test_an_idle_pods_marks_are_cleared_and_set_again() -> None:
    assert set(protection(protected=False)["metadata"]["annotations"].values()) == {None}
    assert protection(protected=True)["metadata"]["annotations"] == KEEP


def test_the_budget_selects_protected_pods_of_the_farm_only() -> None:
    budget = disruption_budget("n", "f")
    chosen = budget["spec"]["selector"]["matchLabels"]
    labels = job(KubernetesPool(image="i", farm="f"))["spec"]["template"]["metadata"]["labels"]
    assert chosen.items() <= labels.items()
    assert chosen[PROTECTED] == "true"


@pytest.mark.parametrize("name", ["linux", "linux-1", "linux-0-1", "Linux-1-1", "../linux-1-1", "linux-1-1-x", ""])
def test_a_name_that_no_decision_gives_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        pool_of(name)


@pytest.mark.parametrize(
    "table",
    [
        {"image": ""},
        {"image": "a b"},
        {"image": "i", "namespace": "../x"},
        {"image": "i", "volumes": [{"name": "v", "path": "/v", "source": {"hostPath": {"path": "/"}}}]},
        {"image": "i", "volumes": [{"name": "v", "path": "/v", "source": {}}]},
        {"image": "i", "limits": {"memory": "lots"}},
        {"image": "i", "runAsUser": 0},
        {"image": "i", "pendingSeconds": {"imagePull": 0}},
        {"image": "i", "replicas": 3},
    ],
)
def test_a_table_that_is_wrong_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KubernetesPool.model_validate(table)


def test_the_page_lists_the_rights_that_are_needed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kubernetes-workers.md").read_text()
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in page.splitlines() if line.startswith("| `")
    ]
    wanted = [(f"`{resource}{f'.{group}' if group else ''}`", ", ".join(verbs)) for group, resource, verbs in NEEDED]
    assert [row for row in rows if row in wanted] == wanted


def test_every_right_is_asked_for_once_by_itself() -> None:
    questions = access_reviews("n")
    assert len(questions) == sum(len(verbs) for _, _, verbs in NEEDED)
    of_logs = questions["get pods/log"]["spec"]["resourceAttributes"]
    assert (of_logs["resource"], of_logs["subresource"], of_logs["namespace"]) == ("pods", "log", "n")
