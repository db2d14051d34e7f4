"""What a cluster's objects say, in a few words: what is ready, what waits for what. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

_WORKER = "app.kubernetes.io/component"
_STUCK = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
    }
)


@dataclass(frozen=True)
class Part:
    """A Deployment or StatefulSet: how many of its pods are ready."""

    name: str
    ready: int
    wanted: int

    @property
    def well(self) -> bool:
        """Whether all are there."""
        return self.ready >= self.wanted

    def __str__(self) -> str:
        return f"{self.name} {self.ready} of {self.wanted} ready"


def parts_of(objects: Iterable[Object]) -> tuple[Part, ...]:
    """The parts of a farm by name; one whose newest spec was not looked at by its controller is not ready."""
    found = []
    for item in objects:
        status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
        current = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 0)
        updated = min(status.get("updatedReplicas", 0), status.get("readyReplicas", 0)) if current else 0
        found.append(Part(item["metadata"]["name"], updated, wanted))
    return tuple(sorted(found, key=lambda part: part.name))


def troubles_of(pods: Iterable[Object]) -> tuple[str, ...]:
    """Sentences about pods that cannot go on by themselves, or that wait for room."""
    return tuple(sorted(trouble for pod in pods if (trouble := _trouble(pod))))


def _trouble(pod: Object) -> str:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return f"{name} finds no node: {condition.get('message', '')}"
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") in _STUCK:
            return f"{name}: {waiting['reason']}: {waiting.get('message', container.get('image', ''))}"
    return ""


@dataclass(frozen=True)
class Workers:
    """The worker pods by what they do."""

    running: int = 0
    pending: int = 0
    ended: int = 0


def workers_of(pods: Sequence[Object]) -> Workers:
    """Count the worker pods."""
    phases = [pod.get("status", {}).get("phase", "Pending") for pod in pods if is_worker(pod)]
    running, pending = phases.count("Running"), phases.count("Pending")
    return Workers(running, pending, len(phases) - running - pending)


def is_worker(pod: Object) -> bool:
    """Whether a pod is a worker's."""
    return bool(pod["metadata"].get("labels", {}).get(_WORKER) == "worker")


def progress(before: Sequence[Part], now: Sequence[Part]) -> tuple[str, ...]:
    """Lines about what changed since the last look."""
    known = {part.name: part for part in before}
    return tuple(str(part) for part in now if known.get(part.name) != part)


def screen(target: str, parts: Sequence[Part], pods: Sequence[Object], claims: Sequence[Object]) -> str:
    """The state of a farm on one screen."""
    workers, width = workers_of(pods), max((len(part.name) for part in parts), default=0)
    lines = [f"Buildyard on {target}", ""]
    lines += [f"  {part.name:<{width}}  {part.ready} of {part.wanted} ready" for part in parts]
    if not parts:
        lines.append("  Nothing of it is there. ./manage.sh up brings it up.")
    lines.append(f"\n  workers: {workers.running} running, {workers.pending} pending, {workers.ended} ended")
    sizes = [f"{claim['metadata']['name']} {claim['spec']['resources']['requests']['storage']}" for claim in claims]
    lines.append(f"  data: {', '.join(sizes) or 'none'}")
    troubles = troubles_of(pods)
    lines += [f"  ! {_short(trouble)}" for trouble in troubles[:10]]
    if len(troubles) > 10:  # noqa: PLR2004 - one screen
        lines.append(f"  ! and {len(troubles) - 10} more")
    if parts and all(part.well for part in parts):
        lines.append("\n  All is ready. ./manage.sh forward opens it on this machine.")
    return "\n".join(lines)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 150 else f"{line[:147]}..."  # noqa: PLR2004 - a line of a screen
