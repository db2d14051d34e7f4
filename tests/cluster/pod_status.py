"""What a kubelet says of a pod: its phase, its conditions and the state of its container."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Status = dict[str, Any]


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def waiting(pod: dict[str, Any], reason: str, message: str, restarts: int = 0, last: Status | None = None) -> Status:
    """Pending, or running and about to be started again; `reason` is a kubelet's word such as `ErrImagePull`."""
    state = {"waiting": {"reason": reason, "message": message}}
    phase = "Running" if restarts or last else "Pending"
    return _status(pod, phase, state, ready=False, restarts=restarts, last=last)


def running(pod: dict[str, Any], started_at: str, restarts: int = 0, last: Status | None = None) -> Status:
    """Its process runs; that counts as ready, since probes are not imitated."""
    return _status(pod, "Running", {"running": {"startedAt": started_at}}, ready=True, restarts=restarts, last=last)


def terminated(started_at: str, exit_code: int, message: str = "") -> Status:
    """A container's state after its end; 128 and more is a signal."""
    state: Status = {
        "exitCode": exit_code,
        "reason": "Completed" if exit_code == 0 else "Error",
        "startedAt": started_at,
        "finishedAt": now(),
    }
    return {"terminated": {**state, "message": message} if message else state}


def ended(pod: dict[str, Any], state: Status, restarts: int = 0, reason: str = "", message: str = "") -> Status:
    """Succeeded or Failed, by the exit code, or Failed with the pod's own `reason`."""
    failed = bool(reason) or state["terminated"]["exitCode"] != 0
    status = _status(pod, "Failed" if failed else "Succeeded", state, ready=False, restarts=restarts, last=None)
    return {**status, **({"reason": reason, "message": message} if reason else {})}


def _status(
    pod: dict[str, Any], phase: str, state: Status, *, ready: bool, restarts: int, last: Status | None
) -> Status:
    container = pod["spec"]["containers"][0]
    at = now()
    over = phase in {"Succeeded", "Failed"}
    done = {"reason": "PodCompleted"} if phase == "Succeeded" else {"reason": "PodFailed"} if over else {}
    not_ready = done or {"reason": "ContainersNotReady"}
    told = {
        "PodReadyToStartContainers": (not over, {}),
        "Initialized": (True, {}),
        "ContainersReady": (ready, {} if ready else not_ready),
        "Ready": (ready, {} if ready else not_ready),
    }
    return {
        "phase": phase,
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "startTime": pod.get("status", {}).get("startTime") or at,
        "conditions": [
            {"type": kind, "status": str(true), "lastTransitionTime": at, **why} for kind, (true, why) in told.items()
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "containerID": f"process://{pod['metadata']['uid']}",
                "ready": ready,
                "started": "running" in state,
                "restartCount": restarts,
                "state": state,
                "lastState": last or {},
            }
        ],
    }
