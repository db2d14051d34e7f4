"""Pods of the throwaway cluster are real processes: their output, their end and what a kubelet would say of them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from tests.cluster.objects import Place, pod, until
from tests.cluster.running import Cluster

SHELL = ("sh", "-c")
WAITS = "echo began; exec sleep 600"


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    with cluster.namespace() as namespace, cluster.client() as api:
        until(lambda: api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
        yield Place(api, namespace)


def test_a_pod_runs_its_own_command_with_its_own_environment_and_its_output_is_its_log(place: Place) -> None:
    place.make("secrets", {"metadata": {"name": "hidden"}, "stringData": {"word": "sesame", "file": "content"}})
    env = [
        {"name": "GIVEN", "value": "by hand"},
        {"name": "BOTH", "value": "$(GIVEN) twice"},
        {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "DATA", "value": "file:///data/here"},
    ]
    mounts = [{"name": "data", "mountPath": "/data"}, {"name": "secret", "mountPath": "/etc/hidden"}]
    volumes = [{"name": "data", "emptyDir": {}}, {"name": "secret", "secret": {"secretName": "hidden"}}]
    script = 'echo "$GIVEN|$BOTH|$WORD|$NAME|${PYTHONPATH-none}"; cat "$2/file"; echo; echo "$DATA"; touch "$1/x"'
    words = [*SHELL, script, "sh", "/data", "/etc/hidden"]
    place.make("pods", pod("speaks", *words, container={"env": env, "volumeMounts": mounts}, volumes=volumes))
    place.ends("speaks", "Succeeded")

    first, second, third = place.log("speaks").splitlines()
    assert first == "by hand|by hand twice|sesame|speaks|none"
    assert second == "content"
    assert third.startswith("file:///")
    assert third.endswith("/volumes/data/here")
    assert place.log("speaks", tailLines="1").splitlines() == [third]


def test_the_exit_code_is_told(place: Place) -> None:
    place.make("pods", pod("fails", *SHELL, "echo why; exit 7"))
    place.make("pods", pod("no-such-program", "/no/such/program"))
    place.ends("fails", "Failed")
    assert place.state("fails")["terminated"]["exitCode"] == 7
    place.ends("no-such-program", "Failed")
    assert place.state("no-such-program")["terminated"]["exitCode"] == 128


def test_a_deleted_pod_gets_sigterm_and_after_its_grace_sigkill(place: Place) -> None:
    began = "import signal, sys; signal.signal(15, lambda *_: {}); print('began', flush=True); signal.pause(); "
    began += "signal.pause()"
    deaf, polite = began.format("print('asked', flush=True)"), began.format("sys.exit(0)")
    place.make("pods", pod("deaf", sys.executable, "-c", deaf))
    place.make("pods", pod("polite", sys.executable, "-c", polite))
    for name in ("deaf", "polite"):
        assert place.said(name) == "began\n"

    place.delete("polite")
    place.ends("polite", "Gone")
    with ThreadPoolExecutor() as threads:
        followed = threads.submit(place.log, "deaf", follow="true")
        place.delete("deaf", gracePeriodSeconds=2)
        place.ends("deaf", "Gone")
        assert followed.result().splitlines() == ["began", "asked"]


def test_a_pod_removed_by_force_and_one_past_its_deadline_lose_their_processes(place: Place) -> None:
    said = "echo $$; exec sleep 600"
    place.make("pods", pod("forced", *SHELL, said))
    place.make("pods", pod("late", *SHELL, said, activeDeadlineSeconds=3, terminationGracePeriodSeconds=1))
    numbers = {}
    for name in ("forced", "late"):
        numbers[name] = int(place.said(name))

    place.delete("forced", gracePeriodSeconds=0)

    until(lambda: not _lives(numbers["forced"]))
    place.ends("late", "Failed")
    late = place.pod("late")
    assert late is not None
    assert late["status"]["reason"] == "DeadlineExceeded"
    assert not _lives(numbers["late"])


def test_what_keeps_a_pod_from_starting_is_told_apart_and_ends_with_its_cause(place: Place) -> None:
    missing = {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "later", "key": "x"}}}]}
    claim = [{"name": "v", "persistentVolumeClaim": {"claimName": "none"}}]
    secret = [{"name": "v", "secret": {"secretName": "none"}}]
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    place.make("pods", pod("image", "true", container={"image": "registry.invalid/worker:1"}))
    place.make("pods", pod("secret", *SHELL, "echo $X", container=missing))
    place.make("pods", pod("volume", "true", container=mount, volumes=secret))
    place.make("pods", pod("claim", "true", container=mount, volumes=claim))
    place.make("pods", pod("room", "true", container={"resources": {"requests": {"cpu": "1000"}}}))

    def waits(name: str) -> str:
        return str(place.state(name).get("waiting", {}).get("reason"))

    until(lambda: waits("image") == "ImagePullBackOff")
    until(lambda: waits("secret") == "CreateContainerConfigError")
    until(lambda: waits("volume") == "ContainerCreating" and "FailedMount" in place.warnings("volume"))
    until(lambda: "FailedScheduling" in place.warnings("claim"))
    until(lambda: "FailedScheduling" in place.warnings("room"))

    place.make("secrets", {"metadata": {"name": "later"}, "stringData": {"x": "it came"}})
    place.ends("secret", "Succeeded")
    assert place.log("secret") == "it came\n"
    for name in ("image", "volume", "claim", "room"):
        place.delete(name)
        place.ends(name, "Gone")


def test_a_quota_refuses_and_a_job_ends_with_its_pod(place: Place) -> None:
    place.make("resourcequotas", {"metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}})
    until(lambda: "used" in place.api.get(f"/api/v1/namespaces/{place.namespace}/resourcequotas/few").json()["status"])
    template = {"spec": pod("", *SHELL, "echo once")["spec"]}
    job = {"metadata": {"name": "one"}, "spec": {"backoffLimit": 0, "template": template}}
    jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    assert place.api.post(jobs, json=job).is_success

    def succeeded() -> bool:
        return bool(place.api.get(f"{jobs}/one").json()["status"].get("succeeded") == 1)

    until(succeeded)
    place.make("pods", pod("fills", *SHELL, WAITS))
    refused = place.api.post(f"/api/v1/namespaces/{place.namespace}/pods", json=pod("beyond", "true"))
    assert refused.status_code == 403
    assert "exceeded quota" in refused.text


def test_a_pod_that_is_to_run_for_ever_is_started_again(place: Place) -> None:
    place.make("pods", pod("returns", *SHELL, "echo again; exit 1", restartPolicy="Always"))

    def restarts() -> int:
        found = place.pod("returns")
        statuses = found["status"].get("containerStatuses") if found else None
        return int(statuses[0]["restartCount"]) if statuses else 0

    until(lambda: restarts() >= 2)
    place.delete("returns", gracePeriodSeconds=1)
    place.ends("returns", "Gone")


def test_processes_outlive_the_api_server_and_their_ends_are_told_when_it_is_back(
    cluster: Cluster, place: Place
) -> None:
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's")
    place.make("pods", pod("patient", *SHELL, "echo $$; exec sleep 600"))
    number = int(place.said("patient"))
    for down, up in (("stop", "start"), ("freeze", "thaw")):
        cluster.control(down, "kube-apiserver")
        assert _lives(number)
        if down == "freeze":
            os.kill(number, signal.SIGKILL)
        cluster.control(up, "kube-apiserver")
        until(lambda: _answers(place))
    place.ends("patient", "Failed")
    assert place.state("patient")["terminated"]["exitCode"] == 137


def _answers(place: Place) -> bool:
    with suppress(httpx.HTTPError):
        return place.api.get("/readyz").is_success
    return False


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
