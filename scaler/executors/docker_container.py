"""A worker as a container, as pure values: what to ask the engine for, and what its answers mean.

The sandbox is the one that workers in a cluster have: no root, no capability, no new privilege, nothing writable but
the workspace and `/tmp`, and bounds on memory, processors and processes. Shapes are those of the Engine API, 1.41.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_docker import DockerPool
from buildyard.contracts.scaling import PendingCode, WorkerState

FARM_LABEL, POOL_LABEL, WORKER_LABEL = "buildyard.farm", "buildyard.pool", "buildyard.worker"
WORKSPACE = "/work"
_LOG_BYTES, _LOG_FILES = "8m", "2"
_SIGNALLED = {137: -9, 143: -15}
"""Exit codes by which an engine tells of a signal, and as an executor tells of it."""
_GRACE, _USUAL_GRACE = "BUILDYARD_GRACE_SECONDS", "25"
_REPORT_SECONDS = 5
"""Beyond its grace a worker still reports what it hands back."""

_COMMAND = {
    126: "The first word of docker.command cannot be run in the image (exit code 126).",
    127: "The image has no program of the first word of docker.command (exit code 127).",
}

Json = Mapping[str, Any]


def container_name(farm: str, worker: str) -> str:
    """The name that the engine gives to one container only."""
    return f"{farm}-{worker}"


def container_spec(worker: str, pool: str, docker: DockerPool, environment: Mapping[str, str]) -> dict[str, Any]:
    """The body of `POST /containers/create` for one worker; `environment` is what the scaler tells all of its pool."""
    variables = {**environment, "BUILDYARD_DATA_DIR": WORKSPACE, "HOME": WORKSPACE, **docker.environment}
    if docker.grace_seconds is not None:
        variables[_GRACE] = f"{docker.grace_seconds:g}"
    return {
        "Image": docker.image,
        "Hostname": worker,
        "Entrypoint": list(docker.command),
        "Cmd": ["--pool", pool, "--name", worker],
        "Env": [f"{name}={value}" for name, value in sorted(variables.items())],
        "User": docker.user,
        "WorkingDir": WORKSPACE,
        "Labels": {FARM_LABEL: docker.farm, POOL_LABEL: pool, WORKER_LABEL: worker},
        "StopSignal": "SIGTERM",
        "StopTimeout": math.ceil(float(variables.get(_GRACE, _USUAL_GRACE))) + _REPORT_SECONDS,
        "Healthcheck": {"Test": ["NONE"]},  # the lease says who lives; a probe in each worker would only cost
        "HostConfig": _host_config(docker),
    }


def _host_config(docker: DockerPool) -> dict[str, Any]:
    owner = "".join(f",{kind}={number}" for kind, number in zip(("uid", "gid"), docker.user.split(":"), strict=False))
    tmpfs = {"/tmp": f"rw,exec,nosuid,nodev,mode=1777,size={docker.tmp_bytes}"}  # noqa: S108 - the container's own
    mounts = [_mount(volume.source, volume.target, read_only=volume.read_only) for volume in docker.volumes]
    if docker.workspace_bytes is None:
        mounts.append({"Type": "volume", "Target": WORKSPACE})
    else:
        tmpfs[WORKSPACE] = f"rw,exec,nosuid,nodev,mode=0700,size={docker.workspace_bytes}{owner}"
    config: dict[str, Any] = {
        "Init": True,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "IpcMode": "private",
        "PidsLimit": docker.pids_limit,
        "Memory": docker.memory_bytes,
        "MemorySwap": docker.memory_bytes,
        "NanoCpus": round(docker.cpus * 1e9),
        "NetworkMode": docker.network,
        "ExtraHosts": [f"{name}:{address}" for name, address in sorted(docker.extra_hosts.items())],
        "Tmpfs": tmpfs,
        "Mounts": mounts,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": _LOG_BYTES, "max-file": _LOG_FILES}},
    }
    return {**config, "Runtime": docker.runtime} if docker.runtime else config


def _mount(source: str, target: str, *, read_only: bool) -> dict[str, Any]:
    kind = "bind" if source.startswith("/") else "volume"
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": read_only}


# ------------------------------------------------------------------------------------------------ answers


@dataclass(frozen=True)
class Listed:
    """One container of the engine's list."""

    id: str
    worker: str
    pool: str
    phase: str
    """The engine's own word: created, running, paused, restarting, removing, exited or dead."""
    created: float
    """Seconds since 1970, by the engine's clock."""

    @property
    def ended(self) -> bool:
        """Whether it ran and is over."""
        return self.phase in {"exited", "dead", "removing"}

    @property
    def begun(self) -> bool:
        """Whether it ever ran."""
        return self.phase != "created"


def listed(rows: Sequence[Json]) -> tuple[Listed, ...]:
    """The workers among the containers of `GET /containers/json`, oldest first."""
    found = [
        Listed(
            id=str(row["Id"]),
            worker=str(row["Labels"][WORKER_LABEL]),
            pool=str(row["Labels"][POOL_LABEL]),
            phase=str(row["State"]),
            created=float(row["Created"]),
        )
        for row in rows
        if {WORKER_LABEL, POOL_LABEL} <= set(row.get("Labels") or ())
    ]
    return tuple(sorted(found, key=lambda one: (one.created, one.worker)))


@dataclass(frozen=True)
class Facts:
    """What stays true of a container while its phase stays the same, from `GET /containers/{id}/json`."""

    pid: int | None = None
    exit_code: int | None = None
    detail: str = ""
    trouble: str = ""
    """What the engine said when it could not start it."""


def facts(inspected: Json) -> Facts:
    """Read an inspection."""
    state = inspected["State"]
    trouble = str(state.get("Error") or "")
    if state["Status"] == "created":
        return Facts(trouble=trouble)
    if state["Status"] not in {"exited", "dead"}:
        return Facts(pid=state.get("Pid") or None)
    code = int(state["ExitCode"])
    detail = trouble or _COMMAND.get(code, "")
    if state.get("OOMKilled"):
        limit = inspected.get("HostConfig", {}).get("Memory", 0) / 2**20
        detail = f"It was ended because it used more memory than its {limit:.0f} MiB (docker.memoryBytes)."
    return Facts(exit_code=_SIGNALLED.get(code, code), detail=detail)


def worker_info(one: Listed, known: Facts, now: datetime, node: str, pending_seconds: float) -> WorkerInfo:
    """A container as the executor tells of it.

    One that was made and never began counts as running, with why it waits, until `pending_seconds` are over or the
    engine could not start it: then it is a failed start.
    """
    age = max(0.0, now.timestamp() - one.created)
    info = WorkerInfo(name=one.worker, pool=one.pool, state="Running", age_seconds=age, phase=one.phase, node=node)
    if one.ended:
        end = {"state": WorkerState.EXITED.wire, "exit_code": known.exit_code, "detail": known.detail}
        return info.model_copy(update=end)
    if one.begun:
        return info.model_copy(update={"pid": known.pid})
    code, reason = trouble(known.trouble) if known.trouble else (PendingCode.STARTING, "The engine has not begun it.")
    waiting: dict[str, Any] = {"pending_code": code, "pending_reason": reason}
    if known.trouble or age >= pending_seconds:
        late = "" if known.trouble else f"It did not begin within {pending_seconds:g} s: its start was interrupted."
        waiting |= {"state": WorkerState.EXITED.wire, "detail": late or reason}
    return info.model_copy(update=waiting)


_TROUBLES: tuple[tuple[str, PendingCode], ...] = (
    (r"no such image|pull access denied|manifest unknown|repository does not exist", PendingCode.IMAGE_PULL),
    (r"mount|bind source|volume", PendingCode.VOLUME),
    (r"no space left|cannot allocate memory|resource temporarily unavailable", PendingCode.QUOTA),
)


def trouble(words: str) -> tuple[PendingCode, str]:
    """What an engine's refusal is about, and the refusal as one sentence."""
    text = re.sub(r"\s+", " ", words).strip().rstrip(".")
    found = (code for pattern, code in _TROUBLES if re.search(pattern, text, re.IGNORECASE))
    return next(found, PendingCode.BAD_SPEC), f"The engine refused: {text or 'it gave no reason'}."
