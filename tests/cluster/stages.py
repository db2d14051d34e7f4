"""Pods that KWOK plays by itself, without a process: for thousands of them, where only the control plane counts.

A pod with the label SIMULATED runs once it has a node, after the time in its annotation STARTS_AFTER (`5s`; at once
without it). With ENDS_AFTER it succeeds so long after that; without it, it runs until it is deleted. All other pods
are backed by real processes (`backing.py`).
"""

from __future__ import annotations

import json
from typing import Any

SIMULATED = "buildyard.test/simulated"
STARTS_AFTER = "buildyard.test/starts-after"
ENDS_AFTER = "buildyard.test/ends-after"

_CONTAINER = """\
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: %s
  started: %s
  restartCount: 0
  state:
    %s
{{ end }}
"""
_RUNS = (
    """\
{{ $now := Now }}
phase: Running
hostIP: 127.0.0.1
podIP: 127.0.0.1
startTime: {{ $now | Quote }}
conditions:
- { type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }} }
- { type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }} }
- { type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }} }
"""
    + _CONTAINER % ("true", "true", "running: { startedAt: {{ $now | Quote }} }")
)
_ENDED = (
    """\
{{ $now := Now }}
phase: Succeeded
"""
    + _CONTAINER
    % (
        "false",
        "false",
        "terminated: { exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }} }",
    )
)


def stages() -> str:
    """The stages as KWOK's configuration, documents of JSON."""
    made = (
        _stage("pod-runs", "DoesNotExist", {"statusTemplate": _RUNS}, phases=["Pending"], after=STARTS_AFTER),
        _stage("pod-ends", "DoesNotExist", {"statusTemplate": _ENDED}, phases=["Running"], after=ENDS_AFTER, only=True),
        _stage("pod-goes", "Exists", {"finalizers": {"empty": True}, "delete": True}),
    )
    return "\n---\n".join(json.dumps(one) for one in made)


def _stage(
    name: str,
    deleting: str,
    then: dict[str, Any],
    *,
    phases: list[str] | None = None,
    after: str = "",
    only: bool = False,
) -> dict[str, Any]:
    """One stage; `after` is the annotation with its delay, with `only` it applies to pods that have it."""
    chosen: list[dict[str, Any]] = [{"key": ".metadata.deletionTimestamp", "operator": deleting}]
    if phases:
        chosen.append({"key": ".status.phase", "operator": "In", "values": phases})
    delay = f'.metadata.annotations["{after}"]'
    if only:
        chosen.append({"key": delay, "operator": "Exists"})
    timed = {"delay": {"durationMilliseconds": 0, "durationFrom": {"expressionFrom": delay}}} if after else {}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchLabels": {SIMULATED: "true"}, "matchExpressions": chosen},
            **timed,
            "next": then,
        },
    }
