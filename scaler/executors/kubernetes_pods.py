"""What Kubernetes says of a worker's Job, pods and events -> what the scaler sees of the worker. Pure.

Of each object only what is read here is kept: a farm of thousands of pods fits in little memory. A worker counts as
running from its Job's creation until its end is certain, so that what waits counts against the maximum too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_kubernetes import PendingBounds
from buildyard.contracts.scaling import PendingCode, WorkerState
from buildyard.errors import InvalidRequest
from scaler.executors.kubernetes_job import KEEP, PENDING_CODE, PENDING_REASON, PROTECTED, WORKER, pool_of

_LONGEST_MESSAGE = 400
_PULLING_FAILS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_SPEC_FAILS = frozenset({"InvalidImageName", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_VOLUME_FAILS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_OF_VOLUMES = ("persistentvolumeclaim", "persistent volume", "volume node affinity", "volume(s)")
_UNSEEN = "Its pod waits for the scheduler."
_ENDED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class JobSight:
    """A worker's Job. `finished` is empty, `Complete` or `Failed`; `given_up` is why its pod never ran."""

    name: str
    uid: str
    version: str
    created: datetime
    finished: str = ""
    reason: str = ""
    message: str = ""
    ended: datetime | None = None
    given_up: PendingCode | None = None
    given_up_reason: str = ""
    active: int = 0
    """How many pods of it the cluster counts that have not ended."""


@dataclass(frozen=True, slots=True)
class PodSight:
    """A worker's pod. `ran`: its container began, however it ended."""

    name: str
    uid: str
    version: str
    worker: str
    created: datetime
    phase: str = "Pending"
    node: str = ""
    image: str = ""
    ran: bool = False
    exit_code: int | None = None
    reason: str = ""
    """Why it ended, or why its container waits; the platform's word."""
    message: str = ""
    unscheduled: str = ""
    """Why no node takes it, in the scheduler's words."""
    ended: datetime | None = None
    deleting: bool = False
    disrupted: bool = False
    protected: bool = False
    restarts: int = 0

    @property
    def over(self) -> bool:
        """Whether its container has ended for good."""
        return self.phase in _ENDED_PHASES


@dataclass(frozen=True, slots=True)
class Warned:
    """The newest warning about one object."""

    uid: str
    reason: str
    message: str
    at: str


class Pending(NamedTuple):
    """Why a worker does not run yet, and the same as a sentence."""

    code: PendingCode
    reason: str


# ------------------------------------------------------------------------------------------------ objects as they come


def job_sight(raw: Mapping[str, Any]) -> JobSight | None:
    """What counts of a Job; None if it is not a worker's."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    try:
        pool_of(metadata["name"])
    except InvalidRequest:
        return None
    annotations = metadata.get("annotations") or {}
    ended = {
        one["type"]: one
        for one in status.get("conditions") or ()
        if one.get("status") == "True" and one["type"] in ("Complete", "Failed")
    }
    condition = ended.get("Failed") or ended.get("Complete") or {}
    return JobSight(
        active=int(status.get("active") or 0),
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        created=_moment(metadata["creationTimestamp"]),
        finished=condition.get("type", ""),
        reason=condition.get("reason") or "",
        message=_short(condition.get("message")),
        ended=_moment(condition["lastTransitionTime"]) if condition.get("lastTransitionTime") else None,
        given_up=_code(annotations.get(PENDING_CODE)),
        given_up_reason=annotations.get(PENDING_REASON, ""),
    )


def pod_sight(raw: Mapping[str, Any]) -> PodSight | None:
    """What counts of a pod; None if it is not a worker's."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    labels = metadata.get("labels") or {}
    worker = labels.get(WORKER, "")
    if not worker:
        return None
    annotations = metadata.get("annotations") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    containers = status.get("containerStatuses") or ()
    container = containers[0] if containers else {}
    state = container.get("state") or {}
    terminated, waiting = state.get("terminated") or {}, state.get("waiting") or {}
    phase = status.get("phase") or "Pending"
    return PodSight(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        worker=worker,
        created=_moment(metadata["creationTimestamp"]),
        phase=phase,
        node=spec.get("nodeName") or "",
        image=next((one.get("image", "") for one in spec.get("containers") or ()), ""),
        ran=_has_run(phase, state, container.get("lastState") or {}),
        exit_code=terminated.get("exitCode"),
        reason=terminated.get("reason") or status.get("reason") or waiting.get("reason") or "",
        message=_short(terminated.get("message") or status.get("message") or waiting.get("message")),
        unscheduled=_short(scheduled.get("message")) if scheduled.get("status") == "False" else "",
        ended=_moment(terminated["finishedAt"]) if terminated.get("finishedAt") else None,
        deleting="deletionTimestamp" in metadata,
        disrupted=(conditions.get("DisruptionTarget") or {}).get("status") == "True",
        protected=PROTECTED in labels and all(annotations.get(key) == value for key, value in KEEP.items()),
        restarts=container.get("restartCount") or 0,
    )


def newest_warnings(raws: Iterable[Mapping[str, Any]]) -> dict[str, Warned]:
    """The newest warning about each object, by the object's uid."""
    newest: dict[str, Warned] = {}
    for raw in raws:
        about = raw.get("involvedObject") or {}
        at = raw.get("lastTimestamp") or raw.get("eventTime") or raw["metadata"].get("creationTimestamp") or ""
        one = Warned(about.get("uid") or "", raw.get("reason") or "", _short(raw.get("message")), at)
        if one.uid not in newest or newest[one.uid].at <= one.at:
            newest[one.uid] = one
    return newest


# ------------------------------------------------------------------------------------------------ what follows


def current(pods: Iterable[PodSight]) -> PodSight | None:
    """A Job's newest pod: an earlier one was taken by the platform."""
    return max(pods, key=lambda pod: (pod.created, pod.name), default=None)


def worker_info(
    name: str, job: JobSight | None, pods: Sequence[PodSight], warnings: Mapping[str, Warned], now: datetime
) -> WorkerInfo:
    """A worker as the scaler sees it. `pods` are all of its Job; without a Job there is at least one pod."""
    pod = current(pods)
    seen = [one.created for one in (job, *pods) if one is not None]
    over = _is_over(job, pod)
    waits = None if over or (pod is not None and pod.ran) else why_pending(job, pod, warnings)
    if over and job is not None and job.given_up is not None and not any(one.ran for one in pods):
        waits = Pending(job.given_up, job.given_up_reason)
    return WorkerInfo(
        name=name,
        pool=pool_of(name),
        state=WorkerState.EXITED.wire if over else "Running",
        age_seconds=max(0.0, (now - min(seen)).total_seconds()) if seen else 0,
        exit_code=pod.exit_code if pod is not None and over else None,
        detail=_why_ended(job, pod) if over else "",
        phase=_phase(job, pod),
        node=pod.node if pod is not None else "",
        restarts=max(0, len(pods) - 1) + sum(one.restarts for one in pods),
        pending_code=waits.code if waits else None,
        pending_reason=waits.reason if waits else "",
    )


def why_pending(job: JobSight | None, pod: PodSight | None, warnings: Mapping[str, Warned]) -> Pending:
    """Why a worker whose process never began does not run."""
    if pod is None:
        return _without_pod(warnings.get(job.uid) if job else None)
    if pod.unscheduled:
        if any(word in pod.unscheduled.lower() for word in _OF_VOLUMES):
            return Pending(PendingCode.VOLUME, _sentence("Its volume is not to be had", pod.unscheduled))
        return Pending(PendingCode.NO_NODE, _sentence("No node takes it", pod.unscheduled))
    return _on_node(pod, warnings.get(pod.uid)) if pod.node else Pending(PendingCode.STARTING, _UNSEEN)


def overdue(
    job: JobSight | None,
    pods: Sequence[PodSight],
    warnings: Mapping[str, Warned],
    bounds: PendingBounds,
    now: datetime,
) -> Pending | None:
    """What a worker waits for if it has waited longer than its pool allows; None if it ran, ended or may wait."""
    pod = current(pods)
    if pod is None and job is not None and job.active:
        return None  # there is one that we do not see: the watch of pods is behind
    if job is None or _is_over(job, pod) or (pod is not None and (pod.ran or pod.over or pod.deleting)):
        return None
    waits = why_pending(job, pod, warnings)
    since = job.created if pod is None else pod.created
    bound: float = getattr(bounds, waits.code.value)
    return waits if (now - since).total_seconds() > bound else None


def _on_node(pod: PodSight, warned: Warned | None) -> Pending:
    if pod.reason in _PULLING_FAILS:
        said = pod.message or pod.reason
        return Pending(PendingCode.IMAGE_PULL, _sentence(f"The image {pod.image} cannot be pulled", said))
    if pod.reason in _SPEC_FAILS:
        said = f"{pod.reason} {pod.message}".strip()
        return Pending(PendingCode.BAD_SPEC, _sentence("Its container cannot be made as its pool declares it", said))
    if warned is not None and warned.reason in _VOLUME_FAILS:
        return Pending(PendingCode.VOLUME, _sentence("A volume cannot be mounted", warned.message))
    said = f" ({warned.message})" if warned is not None and warned.message else ""
    return Pending(PendingCode.STARTING, f"The node {pod.node} prepares its container{said}.")


def _without_pod(warned: Warned | None) -> Pending:
    if warned is None or warned.reason != "FailedCreate":
        return Pending(PendingCode.STARTING, "Its Job has no pod yet.")
    if "exceeded quota" in warned.message:
        return Pending(PendingCode.QUOTA, _sentence("The namespace's quota does not allow its pod", warned.message))
    return Pending(PendingCode.BAD_SPEC, _sentence("The cluster refuses its pod", warned.message))


def _is_over(job: JobSight | None, pod: PodSight | None) -> bool:
    if job is None:
        return pod is None or pod.over
    if job.finished:
        return True
    if job.given_up is not None and (pod is None or (pod.deleting and not pod.ran)):
        return True
    return pod is not None and pod.over and not pod.disrupted


def _why_ended(job: JobSight | None, pod: PodSight | None) -> str:
    if job is not None and job.finished == "Failed" and job.reason not in ("BackoffLimitExceeded", "PodFailurePolicy"):
        return _sentence(f"Its Job failed ({job.reason})", job.message)
    if pod is None or pod.reason in ("", "Completed", "Error"):
        return ""
    if pod.reason == "OOMKilled":
        return "It needed more memory than its pool's limit and was killed."
    return _sentence(f"Its pod ended ({pod.reason})", pod.message)


def _phase(job: JobSight | None, pod: PodSight | None) -> str:
    if pod is None:
        return (job.finished if job is not None else "") or "NoPod"
    return "Terminating" if pod.deleting and not pod.over else pod.phase


def _has_run(phase: str, state: Mapping[str, Any], last: Mapping[str, Any]) -> bool:
    """Whether a container's process ever began.

    Of a pod that is deleted before, the kubelet says that its container terminated, without a time of its start.
    """
    if "running" in state or last.get("terminated") or phase in ("Running", "Succeeded"):
        return True
    terminated = state.get("terminated")
    return terminated is not None and (phase != "Failed" or bool(terminated.get("startedAt")))


def _code(text: str | None) -> PendingCode | None:
    try:
        return PendingCode(text) if text else None
    except ValueError:
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _short(message: str | None) -> str:
    """One line of bounded length: it comes from others."""
    line = " ".join((message or "").split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _sentence(begin: str, said: str) -> str:
    return f"{begin}: {said.rstrip('.')}." if said else f"{begin}."
