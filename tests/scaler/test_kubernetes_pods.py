"""What Kubernetes says of a worker's Job, pod and events, as the scaler understands it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.pools_kubernetes import PendingBounds
from buildyard.contracts.scaling import PendingCode
from scaler.executors.kubernetes_job import WORKER
from scaler.executors.kubernetes_pods import (
    JobSight,
    PodSight,
    Warned,
    job_sight,
    newest_warnings,
    overdue,
    pod_sight,
    why_pending,
    worker_info,
)

BORN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NAME = "linux-1-1"
BOUNDS = PendingBounds()


def seen_job(**status: Any) -> JobSight:
    raw = {"metadata": {"name": NAME, "uid": "j", "resourceVersion": "1", "creationTimestamp": "2026-11-21T09:00:00Z"}}
    found = job_sight({**raw, "status": status})
    assert found is not None
    return found


def seen_pod(node: str = "node-1", meta: dict[str, Any] | None = None, **status: Any) -> PodSight:
    metadata = {
        "name": f"{NAME}-abcde",
        "uid": "p",
        "resourceVersion": "2",
        "creationTimestamp": "2026-11-21T09:00:00Z",
        "labels": {WORKER: NAME},
        **(meta or {}),
    }
    spec = {"nodeName": node, "containers": [{"image": "worker:1"}]}
    found = pod_sight({"metadata": metadata, "spec": spec, "status": status})
    assert found is not None
    return found


def waiting(reason: str, message: str = "") -> PodSight:
    return seen_pod(phase="Pending", containerStatuses=[{"state": {"waiting": {"reason": reason, "message": message}}}])


def unscheduled(message: str) -> PodSight:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return seen_pod(node="", phase="Pending", conditions=[condition])


@pytest.mark.parametrize(
    ("pod", "warned", "code", "said"),
    [
        (waiting("ErrImagePull", "not found"), None, "image_pull", "The image worker:1 cannot be pulled: not found."),
        (waiting("ImagePullBackOff"), None, "image_pull", "cannot be pulled: ImagePullBackOff."),
        (waiting("InvalidImageName", "couldn't parse"), None, "bad_spec", "InvalidImageName couldn't parse."),
        (waiting("CreateContainerConfigError", 'secret "w" not found'), None, "bad_spec", 'secret "w" not found.'),
        (unscheduled("0/3 nodes are available: 3 Insufficient cpu."), None, "no_node", "3 Insufficient cpu."),
        (unscheduled('persistentvolumeclaim "c" not found'), None, "volume", "Its volume is not to be had"),
        (unscheduled("3 node(s) had volume node affinity conflict"), None, "volume", "volume node affinity"),
        (
            waiting("ContainerCreating"),
            Warned("p", "FailedMount", 'MountVolume.SetUp failed: secret "s" not found', ""),
            "volume",
            'A volume cannot be mounted: MountVolume.SetUp failed: secret "s" not found.',
        ),
        (waiting("ContainerCreating"), None, "starting", "The node node-1 prepares its container."),
        (seen_pod(node="", phase="Pending"), None, "starting", "waits for the scheduler"),
        (None, None, "starting", "no pod yet"),
        (None, Warned("j", "FailedCreate", "exceeded quota: q", ""), "quota", "exceeded quota: q."),
        (None, Warned("j", "FailedCreate", 'violates PodSecurity "x"', ""), "bad_spec", "The cluster refuses its pod"),
    ],
)
def test_why_a_worker_waits_is_told_apart(pod: PodSight | None, warned: Warned | None, code: str, said: str) -> None:
    waits = why_pending(seen_job(), pod, {warned.uid: warned} if warned else {})

    assert waits.code is PendingCode(code)
    assert said in waits.reason


def ended(exit_code: int, reason: str, **status: Any) -> PodSight:
    phase = "Succeeded" if exit_code == 0 else "Failed"
    state = {"terminated": {"exitCode": exit_code, "reason": reason}}
    return seen_pod(phase=phase, containerStatuses=[{"state": state}], **status)


def info(job: JobSight | None, *pods: PodSight, seconds: float = 5) -> Any:
    return worker_info(NAME, job, pods, {}, BORN + timedelta(seconds=seconds))


def test_a_worker_ends_with_its_container_even_before_its_job_says_so() -> None:
    worker = info(seen_job(), ended(4, "Error"))
    assert (worker.state, worker.exit_code, worker.detail, worker.pending_code) == ("Exited", 4, "", None)


def test_a_worker_killed_for_memory_says_so() -> None:
    assert "more memory than its pool's limit" in info(seen_job(), ended(137, "OOMKilled")).detail


def test_a_pod_taken_by_the_platform_is_replaced_so_its_worker_goes_on() -> None:
    disrupted = ended(137, "Error", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    assert info(seen_job(), disrupted).state == "Running"

    later = seen_pod(meta={"name": f"{NAME}-fghij", "uid": "p2", "creationTimestamp": "2026-11-21T09:01:00Z"})
    worker = info(seen_job(), disrupted, later)
    assert (worker.state, worker.restarts, worker.pending_code) == ("Running", 1, PendingCode.STARTING)


def test_a_pod_that_is_being_deleted_still_runs() -> None:
    pod = seen_pod(meta={"deletionTimestamp": "2026-11-21T09:00:05Z"}, phase="Running")
    worker = info(seen_job(), pod)
    assert (worker.state, worker.phase) == ("Running", "Terminating")


def test_a_pod_whose_job_is_gone_still_counts() -> None:
    assert info(None, seen_pod(phase="Running")).state == "Running"


def test_a_job_that_reached_its_deadline_says_so() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active too long"}
    worker = info(seen_job(conditions=[failed]))
    assert worker.state == "Exited"
    assert worker.detail == "Its Job failed (DeadlineExceeded): Job was active too long."


def test_the_newest_warning_counts() -> None:
    def event(name: str, at: str) -> dict[str, Any]:
        about = {"uid": "p"}
        return {"metadata": {"name": name}, "involvedObject": about, "reason": name, "message": "", "lastTimestamp": at}

    found = newest_warnings([event("b", "2026-11-21T09:00:02Z"), event("a", "2026-11-21T09:00:01Z")])
    assert found["p"].reason == "b"


def test_what_is_none_of_ours_is_passed_over() -> None:
    metadata = {"name": "x", "uid": "1", "resourceVersion": "1", "creationTimestamp": "2026-11-21T09:00:00Z"}
    assert job_sight({"metadata": metadata}) is None
    assert pod_sight({"metadata": metadata}) is None


phases = st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"])
states = st.sampled_from(
    [
        {},
        {"running": {}},
        {"terminated": {"exitCode": 1}},
        {"waiting": {"reason": "ImagePullBackOff"}},
        {"waiting": {"reason": "InvalidImageName"}},
        {"waiting": {"reason": "ContainerCreating"}},
    ]
)
conditions = st.lists(
    st.sampled_from(
        [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"},
            {"type": "DisruptionTarget", "status": "True"},
            {"type": "Ready", "status": "False"},
        ]
    )
)
some_pods = st.builds(
    lambda phase, state, found, deleting: seen_pod(
        meta={"deletionTimestamp": "2026-11-21T09:00:05Z"} if deleting else {},
        phase=phase,
        conditions=found,
        containerStatuses=[{"state": state}] if state else [],
    ),
    phases,
    states,
    conditions,
    st.booleans(),
)
ages = st.floats(0, 10**7)


@given(some_pods, ages)
def test_nothing_that_ever_ran_is_overdue(pod: PodSight, age: float) -> None:
    late = overdue(seen_job(), [pod], {}, BOUNDS, BORN + timedelta(seconds=age))
    if pod.ran or pod.phase in ("Running", "Succeeded"):
        assert late is None


def test_a_job_whose_pod_the_cluster_counts_and_we_do_not_see_is_not_overdue() -> None:
    late = BORN + timedelta(seconds=10**6)

    assert overdue(seen_job(), [], {}, BOUNDS, late) is not None
    assert overdue(replace(seen_job(), active=1), [], {}, BOUNDS, late) is None


@given(some_pods)
def test_everything_that_never_runs_ends_in_bounded_time(pod: PodSight) -> None:
    worker = info(seen_job(), pod, seconds=10**6)
    late = overdue(seen_job(), [pod], {}, BOUNDS, BORN + timedelta(seconds=10**6))
    assert late is not None or worker.state == "Exited" or pod.ran or pod.deleting or pod.over


@given(st.none() | some_pods, ages)
def test_a_worker_waits_or_ran_or_is_over_and_a_reason_goes_with_every_code(pod: PodSight | None, age: float) -> None:
    worker = info(seen_job(), *([pod] if pod else []), seconds=age)

    assert worker.state in ("Running", "Exited")
    assert (worker.pending_code is None) == (worker.pending_reason == "")
    if pod is not None and pod.ran:
        assert worker.pending_code is None
    if worker.pending_reason:
        assert worker.pending_reason.endswith(".")
        assert "\n" not in worker.pending_reason


@given(st.text(max_size=2000))
def test_the_platforms_words_become_one_bounded_line(message: str) -> None:
    reason = why_pending(seen_job(), unscheduled(message or "x"), {}).reason
    assert len(reason) < 500
    assert "\n" not in reason
