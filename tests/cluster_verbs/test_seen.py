"""What a cluster's objects say: pure."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from buildyard.errors import BuildyardError
from cluster.passwords import of_cluster
from cluster.seen import Part, parts_of, progress, screen, troubles_of, workers_of
from cluster.target import choose


def part(name: str, wanted: int, ready: int, *, seen: int = 2, updated: int | None = None) -> dict[str, Any]:
    status = {"readyReplicas": ready, "updatedReplicas": ready if updated is None else updated}
    return {
        "metadata": {"name": name, "generation": 2},
        "spec": {"replicas": wanted},
        "status": {**status, "observedGeneration": seen},
    }


def test_a_part_is_ready_when_its_newest_pods_are() -> None:
    parts = parts_of([part("b", 2, 2), part("a", 2, 2, seen=1), part("c", 2, 2, updated=1), part("d", 0, 0)])

    assert [str(one) for one in parts] == ["a 0 of 2 ready", "b 2 of 2 ready", "c 1 of 2 ready", "d 0 of 0 ready"]
    assert [one.well for one in parts] == [False, True, False, True]


def test_only_what_changed_is_told_again() -> None:
    before = (Part("a", 0, 1), Part("b", 1, 1))

    assert progress(before, (Part("a", 1, 1), Part("b", 1, 1))) == ("a 1 of 1 ready",)
    assert progress((), before) == ("a 0 of 1 ready", "b 1 of 1 ready")


def waiting(name: str, reason: str, message: str = "why") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"metadata": {"name": name}, "status": {"containerStatuses": [{"state": state, "image": "i"}]}}


def test_pods_that_cannot_go_on_are_told_and_those_that_only_start_are_not() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    pods = [
        waiting("b", "ImagePullBackOff"),
        waiting("c", "ContainerCreating"),
        {"metadata": {"name": "a"}, "status": {"conditions": [unschedulable]}},
        {"metadata": {"name": "d"}},
    ]

    assert troubles_of(pods) == ("a finds no node: 0/3 nodes", "b: ImagePullBackOff: why")


def test_the_screen_fits_a_screen_whatever_there_is() -> None:
    pods = [waiting(f"pod-{number}", "CrashLoopBackOff", "x" * 500) for number in range(200)]
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}

    text = screen("here", [Part("producer", 1, 1), Part("scaler", 0, 2)], pods, [claim])

    assert len(text.splitlines()) <= 24
    assert "  producer  1 of 1 ready" in text
    assert "data 1Gi" in text
    assert "and 190 more" in text
    assert "Nothing of it is there. ./manage.sh up" in screen("here", [], [], [])


def test_worker_pods_are_counted_by_what_they_do() -> None:
    phases = ["Running", "Running", "Pending", "Succeeded", "Failed"]
    labels = {"app.kubernetes.io/component": "worker"}
    pods = [{"metadata": {"name": "w", "labels": labels}, "status": {"phase": phase}} for phase in phases]

    counted = workers_of([*pods, {"metadata": {"name": "producer"}, "status": {"phase": "Running"}}])

    assert (counted.running, counted.pending, counted.ended) == (2, 1, 2)


def test_minikube_goes_before_kind_and_the_current_context_is_never_taken() -> None:
    assert choose("", "", {"minikube", "kind"}.__contains__, (), overlay_needed=True).context == "minikube"
    found = choose("", "", {"kind"}.__contains__, (), overlay_needed=True)
    assert (found.context, found.kind, found.overlay) == ("kind-buildyard", "kind", "minikube")
    with pytest.raises(BuildyardError):
        choose("", "", set[str]().__contains__, ("production",), overlay_needed=False)


def test_the_newest_passwords_of_a_cluster_are_found_by_their_names() -> None:
    def secret(name: str, at: str, kind: str = "Opaque", **values: str) -> dict[str, Any]:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        return {"metadata": {"name": name, "creationTimestamp": at}, "type": kind, "data": data}

    found = of_cluster(
        [
            secret("postgres-2b8h9k7t4m", "2026-11-02T00:00:00Z", POSTGRES_PASSWORD="new"),
            secret("postgres-g5h2d7f9c4", "2026-11-01T00:00:00Z", POSTGRES_PASSWORD="old"),
            secret("worker", "2026-11-01T00:00:00Z", BUILDYARD_TOKEN="t"),
            secret("somebody-elses", "2026-11-01T00:00:00Z", X="y"),
            secret("producer-tls", "2026-11-03T00:00:00Z", "kubernetes.io/tls", CERT="c"),
            secret("scaler-tls", "2026-11-03T00:00:00Z", CERT="c"),
        ]
    )

    assert found == {"postgres": {"POSTGRES_PASSWORD": "new"}, "worker": {"BUILDYARD_TOKEN": "t"}}
