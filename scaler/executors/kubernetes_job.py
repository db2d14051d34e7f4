"""A worker as a Kubernetes Job: pool, name and environment -> the object that is sent to the API server. Pure.

One Job is one worker, named like it, so that the API server itself refuses a second one. There is one authority over
retries, the producer: a Job never tries again (backoffLimit 0). Only a pod that was taken from it by the platform
(DisruptionTarget: eviction, preemption, a lost node) is replaced, and only once it is certainly gone
(podReplacementPolicy Failed).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from buildyard.contracts.pools_kubernetes import KubernetesPool, Toleration
from buildyard.contracts.wire import rfc3339
from buildyard.errors import InvalidRequest

MANAGED_BY = "app.kubernetes.io/managed-by"
FARM = "buildyard.dev/farm"
POOL = "buildyard.dev/pool"
WORKER = "buildyard.dev/worker"
PROTECTED = "buildyard.dev/protected"
"""A label of pods that must not be evicted; the farm's PodDisruptionBudget selects it."""
PENDING_CODE = "buildyard.dev/pending-code"
PENDING_REASON = "buildyard.dev/pending-reason"
"""Annotations of a Job that was given up because its pod never ran: why."""
KEEP = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Annotations that keep the cluster-autoscaler and Karpenter away from a pod."""
CONTAINER = "worker"

ENDS_AT = "BUILDYARD_ENDS_AT"
GRACE = "BUILDYARD_GRACE_SECONDS"
DATA_DIR = "BUILDYARD_DATA_DIR"
HOME = "/home/buildyard"
NEVER_TOLD = frozenset(
    f"BUILDYARD_{name}"
    for name in ("STORE_URL", "BROKER_MANAGEMENT_URL", "POOLS_FILE", "HOST", "PORT", "SCALER_PORT", "SCALER_URL")
)
"""What a worker has no use for: it must not lie readable in a Job."""
FROM_SECRET = frozenset({"BUILDYARD_TOKEN", "BUILDYARD_BROKER_URL"})
"""Never written into a Job where the pool names a Secret that holds them."""
_HAND_BACK_SECONDS = 10
"""Of the grace so much is left for the way of a signal, and for the worker to end after its last report."""
_NAME = re.compile(r"([a-z][a-z0-9-]{0,39})-[1-9]\d{0,8}-[1-9]\d{0,8}")


def pool_of(name: str) -> str:
    """The pool of a worker's name `<pool>-<slot>-<generation>`.

    Raises:
        InvalidRequest: it is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise InvalidRequest(f"{name!r} is not the name of a worker: <pool>-<slot>-<generation>.")
    return match[1]


def selector(farm: str) -> str:
    """The label selector of all Jobs and pods of a farm."""
    return f"{MANAGED_BY}=buildyard,{FARM}={farm}"


def worker_job(
    pool: KubernetesPool, name: str, environment: Mapping[str, str], now: datetime, secret: str = ""
) -> dict[str, Any]:
    """The Job of one worker. Its deadline counts from `now` on at the earliest, and the worker is told of it.

    Args:
        pool: the table of its pool.
        name: `<pool>-<slot>-<generation>`.
        environment: the settings of a worker.
        now: when it is created.
        secret: a Secret for the worker's variables, in place of the pool's own.

    Raises:
        InvalidRequest: the name is none of a worker.
    """
    labels = {**pool.labels, **_labels(pool, name)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": pool.namespace, "labels": labels},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": pool.deadline_seconds,
            "ttlSecondsAfterFinished": pool.ttl_seconds,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {
                "metadata": {"labels": {**labels, PROTECTED: "true"}, "annotations": {**pool.annotations, **KEEP}},
                "spec": _pod(pool, name, environment, now + timedelta(seconds=pool.deadline_seconds), secret),
            },
        },
    }


def protection(*, protected: bool) -> dict[str, Any]:
    """The merge patch that keeps the platform away from a pod, or lets it move the pod."""
    annotations: dict[str, str | None] = {key: value if protected else None for key, value in KEEP.items()}
    return {"metadata": {"labels": {PROTECTED: "true" if protected else None}, "annotations": annotations}}


def giving_up(code: str, reason: str, resource_version: str = "") -> dict[str, Any]:
    """The merge patch that ends a Job whose pod never ran, with why; a version: only while it is that one."""
    metadata: dict[str, Any] = {"annotations": {PENDING_CODE: code, PENDING_REASON: reason[:1000]}}
    if resource_version:
        metadata["resourceVersion"] = resource_version
    return {"metadata": metadata, "spec": {"activeDeadlineSeconds": 1}}


def disruption_budget(namespace: str, farm: str) -> dict[str, Any]:
    """The one PodDisruptionBudget of a farm: no pod that carries the label PROTECTED is evicted.

    A drain of a node waits for it then, at most as long as a build may take. For pods of Jobs only whole numbers are
    allowed: more pods than there can be stand for "all".
    """
    labels = {MANAGED_BY: "buildyard", FARM: farm}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"{farm}-busy-workers", "namespace": namespace, "labels": labels},
        "spec": {"minAvailable": 2**31 - 1, "selector": {"matchLabels": {**labels, PROTECTED: "true"}}},
    }


def _labels(pool: KubernetesPool, name: str) -> dict[str, str]:
    return {
        MANAGED_BY: "buildyard",
        FARM: pool.farm,
        POOL: pool_of(name),
        WORKER: name,
        "app.kubernetes.io/name": "buildyard",
        "app.kubernetes.io/component": "worker",
    }


def _pod(
    pool: KubernetesPool, name: str, environment: Mapping[str, str], ends_at: datetime, secret: str
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": pool.grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pool.run_as_user,
            "runAsGroup": pool.run_as_user,
            "fsGroup": pool.run_as_user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(pool, name, environment, ends_at, secret or pool.environment_secret)],
        "volumes": _volumes(pool),
    }
    optional = {
        "nodeSelector": dict(pool.node_selector),
        "tolerations": [_toleration(one) for one in pool.tolerations],
        "priorityClassName": pool.priority_class,
        "runtimeClassName": pool.runtime_class,
        "serviceAccountName": pool.service_account,
        "imagePullSecrets": [{"name": one} for one in pool.image_pull_secrets],
    }
    spec.update({key: value for key, value in optional.items() if value})
    if pool.user_namespaces:
        spec["hostUsers"] = False
    return spec


def _container(
    pool: KubernetesPool, name: str, environment: Mapping[str, str], ends_at: datetime, secret: str
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": pool.image,
        "imagePullPolicy": pool.image_pull_policy,
        "command": [*pool.command, "--pool", pool_of(name), "--name", name],
        "env": _variables(pool, environment, ends_at, with_secret=bool(secret)),
        "resources": {"requests": dict(pool.requests), "limits": dict(pool.limits)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": _mounts(pool),
    }
    if secret:
        container["envFrom"] = [{"secretRef": {"name": secret}}]
    return container


def _variables(
    pool: KubernetesPool, environment: Mapping[str, str], ends_at: datetime, *, with_secret: bool
) -> list[dict[str, str]]:
    hidden = NEVER_TOLD | FROM_SECRET if with_secret else NEVER_TOLD
    variables = {key: value for key, value in environment.items() if key not in hidden} | pool.environment
    variables |= {
        DATA_DIR: pool.work_path,
        "HOME": HOME,
        "TMPDIR": "/tmp",  # noqa: S108 - an empty folder of this pod alone
        ENDS_AT: rfc3339(ends_at),
        GRACE: f"{max(1, pool.grace_seconds - min(_HAND_BACK_SECONDS, pool.grace_seconds // 2))}",
    }
    return [{"name": key, "value": variables[key]} for key in sorted(variables)]


def _folders(pool: KubernetesPool) -> Iterable[tuple[str, str]]:
    """The empty folders that a worker may write to."""
    return (("work", pool.work_path), ("tmp", "/tmp"), ("home", HOME))  # noqa: S108 - an empty folder of this pod alone


def _volumes(pool: KubernetesPool) -> list[dict[str, Any]]:
    empty = [{"name": name, "emptyDir": {"sizeLimit": pool.workspace_size}} for name, _ in _folders(pool)]
    return [*empty, *({"name": f"pool-{one.name}", **one.source} for one in pool.volumes)]


def _mounts(pool: KubernetesPool) -> list[dict[str, Any]]:
    return [
        *({"name": name, "mountPath": path} for name, path in _folders(pool)),
        *({"name": f"pool-{one.name}", "mountPath": one.path, "readOnly": one.read_only} for one in pool.volumes),
    ]


def _toleration(one: Toleration) -> dict[str, Any]:
    words = {"key": one.key, "operator": one.operator, "value": one.value, "effect": one.effect}
    toleration: dict[str, Any] = {key: word for key, word in words.items() if word}
    if one.toleration_seconds is not None:
        toleration["tolerationSeconds"] = one.toleration_seconds
    return toleration
