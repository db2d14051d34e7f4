"""From a pod's specification to what is run in its place: command, environment and folders.

What a container would find below a mount path lies in a folder of the pod's own, and paths that begin with a mount
path are rewritten in command, arguments and environment. Nothing else of a container is imitated: the process sees
this machine's files and network. Pods with more than one container or with init containers are refused.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Pod = dict[str, Any]
Lookup = Callable[[str, str, str], Awaitable[Pod | None]]
"""(`secrets` or `configmaps`, namespace, name) -> the object, or None when there is none."""

UNREACHABLE = ".invalid"
"""No image of a registry whose host ends so can be pulled (RFC 2606 keeps the name free)."""
_ENTRY_POINTS = {"worker": "worker", "worker-dotnet": "worker", "producer": "orchestrator", "scaler": "scaler"}
_REFERENCE = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)")


class Waiting(Exception):
    """It cannot be started yet: `reason` is the kubelet's word for it."""

    def __init__(self, reason: str, message: str, *, mounting: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.mounting = mounting


@dataclass(frozen=True)
class Plan:
    """What to run."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path


async def plan(pod: Pod, folder: Path, lookup: Lookup) -> Plan:
    """How to run a pod's one container, with its volumes made below `folder`. Raises Waiting."""
    containers = pod["spec"]["containers"]
    if len(containers) != 1 or pod["spec"].get("initContainers"):
        raise Waiting("CreateContainerError", "The backing runs pods of one container without init containers only.")
    container = containers[0]
    mounts = await _mounts(pod, container, folder, lookup)
    program = _program(container)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "HOSTNAME": pod["metadata"]["name"],
        **{name: _moved(value, mounts) for name, value in (await _environment(pod, container, lookup)).items()},
    }
    words = [_expanded(word, environment) for word in (*program, *container.get("args", ()))]
    command = tuple(_moved(word, mounts) for word in words)
    where = Path(_moved(container.get("workingDir", ""), mounts) or folder)
    return Plan(command, environment, where if where.is_dir() else folder)


def _program(container: Mapping[str, Any]) -> list[str]:
    """The container's command, or that of its image; Raises Waiting for an image that cannot be had."""
    image = container["image"]
    registry = image.partition("/")[0].partition(":")[0]
    if registry.endswith(UNREACHABLE):
        raise Waiting("ErrImagePull", f'failed to pull image "{image}": no such host')
    if command := container.get("command"):
        return list(command)
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0].removeprefix("buildyard-")
    if name not in _ENTRY_POINTS:
        raise Waiting("ErrImagePull", f'failed to pull image "{image}": not found')
    return [sys.executable, "-P", "-m", _ENTRY_POINTS[name]]


# ---------------------------------------------------------------- environment
async def _environment(pod: Pod, container: Mapping[str, Any], lookup: Lookup) -> dict[str, str]:
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        for kind, key in (("secrets", "secretRef"), ("configmaps", "configMapRef")):
            if reference := source.get(key):
                data = await _data(pod, kind, reference, lookup)
                found |= {source.get("prefix", "") + name: value.decode() for name, value in data.items()}
    for entry in container.get("env", ()):
        value = _expanded(entry.get("value", ""), found)
        if "valueFrom" in entry:
            told = await _value(pod, entry["valueFrom"], lookup)
            if told is None:
                continue
            value = told
        found[entry["name"]] = value
    return found


async def _value(pod: Pod, source: Mapping[str, Any], lookup: Lookup) -> str | None:
    """The value of one `valueFrom`; None when it is optional and absent."""
    if field := source.get("fieldRef"):
        return _field(pod, field["fieldPath"])
    for kind, key in (("secrets", "secretKeyRef"), ("configmaps", "configMapKeyRef")):
        if reference := source.get(key):
            data = await _data(pod, kind, reference, lookup)
            if reference["key"] in data:
                return data[reference["key"]].decode()
            if reference.get("optional"):
                return None
            raise Waiting("CreateContainerConfigError", f"couldn't find key {reference['key']} in {reference['name']}")
    raise Waiting("CreateContainerConfigError", f"the backing knows no value from {sorted(source)}")


async def _data(pod: Pod, kind: str, reference: Mapping[str, Any], lookup: Lookup) -> dict[str, bytes]:
    name = reference.get("name") or reference["secretName"]
    found = await lookup(kind, pod["metadata"]["namespace"], name)
    if found is None:
        if reference.get("optional"):
            return {}
        raise Waiting("CreateContainerConfigError", f'{kind.removesuffix("s")} "{name}" not found')
    data: dict[str, str] = found.get("data") or {}
    if kind == "secrets":
        return {key: base64.b64decode(value) for key, value in data.items()}
    return {key: value.encode() for key, value in data.items()}


def _field(pod: Pod, path: str) -> str:
    known = {
        "spec.nodeName": pod["spec"].get("nodeName", ""),
        "spec.serviceAccountName": pod["spec"].get("serviceAccountName", ""),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path in known:
        return str(known[path])
    name, _, key = path.removeprefix("metadata.").partition("['")
    value = pod["metadata"].get(name, "")
    return str(value.get(key.removesuffix("']"), "") if isinstance(value, dict) else value)


def _expanded(text: str, environment: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: environment.get(found[1], found[0]), text)


# ---------------------------------------------------------------- volumes
async def _mounts(pod: Pod, container: Mapping[str, Any], folder: Path, lookup: Lookup) -> dict[str, str]:
    """Mount path -> the folder that stands for it, the longest paths first."""
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", ())}
    made = {}
    for mount in container.get("volumeMounts", ()):
        volume = await _volume(pod, volumes[mount["name"]], folder, lookup)
        made[mount["mountPath"].rstrip("/")] = str(volume / mount.get("subPath", ""))
    return dict(sorted(made.items(), key=lambda pair: -len(pair[0])))


async def _volume(pod: Pod, volume: Mapping[str, Any], folder: Path, lookup: Lookup) -> Path:
    if "hostPath" in volume:
        return Path(str(volume["hostPath"]["path"]))
    if "persistentVolumeClaim" in volume:
        claim = volume["persistentVolumeClaim"]["claimName"]
        raise Waiting("ContainerCreating", f'persistentvolumeclaim "{claim}" cannot be mounted here', mounting=True)
    place = folder / "volumes" / str(volume["name"])
    place.mkdir(parents=True, exist_ok=True)
    for kind, key in (("secrets", "secret"), ("configmaps", "configMap")):
        if reference := volume.get(key):
            try:
                data = await _data(pod, kind, reference, lookup)
            except Waiting as error:
                said = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                raise Waiting("ContainerCreating", said, mounting=True) from error
            for name, content in data.items():
                (place / name).write_bytes(content)
    return place


def _moved(text: str, mounts: Mapping[str, str]) -> str:
    """The text with the paths below mounts in it rewritten; a path begins the text or follows `=`, `:` or `//`.

    What this machine has below a mount path stays: a test may keep its farm's files in this machine's /tmp.
    """

    def moved(found: re.Match[str]) -> str:
        before, path, first = found.groups()
        return found[0] if first and Path(path + first).exists() else f"{before}{mounts[path]}{first or ''}"

    paths = "|".join(re.escape(path) for path in mounts)
    return re.sub(rf"(^|=|:|//)({paths})(/[^/:]+)?(?=/|:|$)", moved, text) if mounts else text
