"""The table `docker` of a pool: which engine runs its workers, from which image, and within which bounds."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from buildyard.contracts.wire import Request

_LOOPBACK = re.compile(r"tcp://(?:127\.0\.0\.1|localhost|\[::1\])(?::|$)")
_PATH = r"^/[^\x00:,]*$"
_GIB = 2**30


class DockerVolume(Request):
    """A folder of the engine's machine, or a named volume, that each worker of the pool sees."""

    source: str = Field(pattern=r"^(?:/[^\x00:,]*|[A-Za-z0-9][A-Za-z0-9_.-]*)$")
    """An absolute path, which must be there, or the name of a volume."""
    target: str = Field(pattern=_PATH)
    read_only: bool = True


class DockerPool(Request):
    """How the workers of one pool run as containers. Sizes in bytes, durations in seconds."""

    image: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][\w.:/@-]*$")
    host: str = Field(default="unix:///var/run/docker.sock", pattern=r"^(?:unix:///|tcp://)[^\s]+$")
    """The engine: `unix:///path` or `tcp://host:port`."""
    certificates: str = ""
    """For `tcp`: a folder with `ca.pem`, `cert.pem` and `key.pem`."""
    farm: str = Field(default="buildyard", pattern=r"^[a-z][a-z0-9-]{0,39}$")
    """Tells the workers of farms that share an engine apart: it is in each container's name and label."""
    command: tuple[str, ...] = Field(default=("python", "-P", "-m", "worker"), min_length=1)
    """What to start in the image; `--pool P --name N` is added."""
    pull: Literal["missing", "never"] = "missing"
    """Whether the engine fetches an image that it has not."""
    user: str = Field(default="10001:10001", pattern=r"^[1-9]\d{0,9}(?::[1-9]\d{0,9})?$")
    """Numbers of user and group; never 0: a worker does not run as root."""
    memory_bytes: int = Field(default=4 * _GIB, ge=64 * 2**20)
    """Memory of one worker with all that it starts; there is no swap beside it."""
    cpus: float = Field(default=2.0, gt=0, le=4096)
    pids_limit: int = Field(default=4096, ge=16)
    workspace_bytes: int | None = Field(default=None, ge=16 * 2**20)
    """None: builds lie on the engine's disk, and go with the container; a size: in memory, so much at most."""
    tmp_bytes: int = Field(default=_GIB, ge=2**20)
    """Room of `/tmp`, which is memory."""
    network: str = Field(default="bridge", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """The engine's network; `host`: that of its machine."""
    extra_hosts: dict[str, str] = Field(default_factory=dict)
    """Host name -> address, as `/etc/hosts` has them."""
    volumes: tuple[DockerVolume, ...] = ()
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")], str] = Field(default_factory=dict)
    """Further variables of the worker; they win over the scaler's own `BUILDYARD_*` settings."""
    runtime: str = Field(default="", pattern=r"^[\w.-]*$")
    """Another runtime of the engine, such as `runsc`; empty: the engine's default."""
    grace_seconds: float | None = Field(default=None, gt=0, le=7200)
    """How long a worker that is told to stop may take, also when the engine is stopped; None: GRACE_SECONDS."""
    pending_seconds: float = Field(default=300, gt=0)
    """A worker that could not begin for so long counts as a failed start."""
    kept_containers: int = Field(default=20, ge=1, le=1000)
    """So many ended containers stay, with their logs."""

    @field_validator("environment", mode="after")
    @classmethod
    def _one_line_each(cls, variables: dict[str, str]) -> dict[str, str]:
        for name, value in variables.items():
            if "\0" in value:
                msg = f"the value of {name} holds a zero byte"
                raise ValueError(msg)
        return variables

    @model_validator(mode="after")
    def _an_open_engine_is_on_this_machine(self) -> Self:
        if self.host.startswith("tcp://") and not self.certificates and not _LOOPBACK.match(self.host):
            msg = "an engine at tcp:// needs `certificates`: without them everybody on the network is root there"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _the_engine_itself_stays_outside(self) -> Self:
        for volume in self.volumes:
            if volume.source.rstrip("/").endswith("docker.sock") or volume.source.rstrip("/") == "":
                msg = f"the volume {volume.source} would let every build command the engine's machine"
                raise ValueError(msg)
        return self
