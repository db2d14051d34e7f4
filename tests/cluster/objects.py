"""Objects that tests of the cluster make, as dicts, and how they wait for what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

PATIENCE = 60.0
IMAGE = "example.test/worker:1"


def pod(name: str, *command: str, env: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod that runs a command once; `env` are variables, `spec` is laid over its specification."""
    container: dict[str, Any] = {"name": "main", "image": IMAGE}
    if command:
        container["command"] = list(command)
    container["env"] = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container |= spec.pop("container", {})
    default = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": False}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {**default, "containers": [container], **spec},
    }


class Place:
    """One namespace, and what tests ask of it."""

    def __init__(self, api: httpx.Client, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._core = f"/api/v1/namespaces/{namespace}"

    def make(self, kind: str, made: Mapping[str, Any]) -> dict[str, Any]:
        """Create a core object, for example of the kind `pods`."""
        answer = self.api.post(f"{self._core}/{kind}", json=made)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pod(self, name: str) -> dict[str, Any] | None:
        """A pod; None when there is none."""
        answer = self.api.get(f"{self._core}/pods/{name}")
        found: dict[str, Any] | None = answer.json() if answer.status_code == httpx.codes.OK else None
        return found

    def pods(self) -> list[str]:
        """The names of all pods."""
        return [found["metadata"]["name"] for found in self.api.get(f"{self._core}/pods").json()["items"]]

    def phase(self, name: str) -> str:
        """A pod's phase; `Gone` when there is none."""
        found = self.pod(name)
        return str(found["status"].get("phase")) if found else "Gone"

    def state(self, name: str) -> dict[str, Any]:
        """The state of a pod's container; empty before it has one."""
        found = self.pod(name)
        statuses = found["status"].get("containerStatuses") if found else None
        state: dict[str, Any] = statuses[0]["state"] if statuses else {}
        return state

    def said(self, name: str) -> str:
        """What a pod has written, once it runs and has written something."""
        until(lambda: self.phase(name) == "Running" and bool(self.log(name)))
        return self.log(name)

    def ends(self, name: str, phase: str) -> None:
        """Wait for a pod's phase; `Gone`: until there is none."""
        until(lambda: self.phase(name) == phase)

    def log(self, name: str, **options: str) -> str:
        """A pod's log, as the API server fetches it from the pod's node."""
        answer = self.api.get(f"{self._core}/pods/{name}/log", params=options)
        assert answer.is_success, answer.text
        return answer.text

    def delete(self, name: str, **options: Any) -> None:
        """Delete a pod, for example with `gracePeriodSeconds=0`."""
        answer = self.api.request("DELETE", f"{self._core}/pods/{name}", json=options)
        assert answer.is_success, answer.text

    def evict(self, name: str) -> httpx.Response:
        """Ask for the eviction of a pod, as a drain does."""
        meta = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
        return self.api.post(f"{self._core}/pods/{name}/eviction", json=made)

    def warnings(self, name: str) -> list[str]:
        """The reasons of the events about an object."""
        found = self.api.get(f"{self._core}/events", params={"fieldSelector": f"involvedObject.name={name}"})
        return [event["reason"] for event in found.json()["items"]]


def until(what: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.1)
