"""The table `[pools.NAME.ssh]` of POOLS_FILE, and the inventory of hosts that it may name."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from buildyard.contracts.wire import Request

HostName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""What the farm calls a host: in lists, sentences and records."""
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
_NO_CONTROL = r"^[^\x00-\x1f\x7f]*$"


class SshHost(Request):
    """One machine, and how it is reached. What is left empty is the pool's own setting of the same name."""

    name: HostName
    address: str = Field(default="", pattern=r"^[^\s@/]*$")
    """A name or an address that the scaler can reach; empty: `name`."""
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(default="", pattern=r"^[^\s@:-][^\s@:]*$|^$")
    key_file: str = Field(default="", pattern=_NO_CONTROL)
    known_hosts: str = Field(default="", pattern=_NO_CONTROL)
    slots: int = Field(default=1, ge=1, le=1000)
    """So many workers of the pool run there at most."""
    python: str = Field(default="", pattern=_NO_CONTROL)
    data_dir: str = Field(default="", pattern=_NO_CONTROL)
    environment: dict[VariableName, str] = Field(default_factory=dict)
    """Further variables of workers there; they win over the pool's."""

    @field_validator("environment")
    @classmethod
    def _no_zero_bytes(cls, variables: dict[str, str]) -> dict[str, str]:
        return whole(variables)


class SshInventory(Request):
    """A file of hosts: `[hosts.NAME]` with the fields of SshHost."""

    hosts: dict[str, dict[str, object]] = Field(min_length=1)


class SshPool(Request):
    """How the workers of a pool with the executor `ssh` come into being. Durations in seconds.

    Either `hosts` or `inventory` says where they run.
    """

    inventory: str = Field(default="", pattern=_NO_CONTROL)
    """A TOML file of hosts."""
    hosts: tuple[SshHost, ...] = ()
    user: str = Field(default="", pattern=r"^[^\s@:-][^\s@:]*$|^$")
    """Who logs in; empty: the user that the scaler runs as."""
    key_file: str = Field(default="", pattern=_NO_CONTROL)
    """A private key without passphrase; empty: ssh-agent, and the usual files in `~/.ssh`."""
    known_hosts: str = Field(default="~/.ssh/known_hosts", min_length=1, pattern=_NO_CONTROL)
    """The hosts' keys, as OpenSSH writes them. A host whose key is not in it is never spoken to."""
    python: str = Field(default="python3", min_length=1, pattern=_NO_CONTROL)
    """The interpreter on the host in which Buildyard's worker is installed: 3.11 or newer."""
    command: tuple[str, ...] = ()
    """What to start instead of `PYTHON -P -m worker`; ` --pool P --name N` is added."""
    data_dir: str = Field(default="~/.local/share/buildyard-ssh", min_length=1, pattern=_NO_CONTROL)
    """Where workers run on a host and keep their logs: a folder of this farm and this host alone."""
    environment: dict[VariableName, str] = Field(default_factory=dict)
    """Further variables of the workers; they win over the scaler's own `BUILDYARD_*` settings."""
    connect_seconds: float = Field(default=10, gt=0, le=300)
    """A connection that does not stand after so long is given up, and tried again later."""
    pending_seconds: float = Field(default=60, gt=0)
    """A start that was interrupted, and left no process, counts as failed after so long."""

    @field_validator("environment")
    @classmethod
    def _no_zero_bytes(cls, variables: dict[str, str]) -> dict[str, str]:
        return whole(variables)

    @model_validator(mode="after")
    def _hosts_come_from_one_place(self) -> Self:
        if bool(self.hosts) == bool(self.inventory):
            msg = "it needs either `hosts` or `inventory`, to know where workers may run"
            raise ValueError(msg)
        check_hosts(self.hosts)
        return self


def check_hosts(hosts: tuple[SshHost, ...]) -> None:
    """Raise ValueError when two hosts have one name."""
    names = [host.name for host in hosts]
    for name in names:
        if names.count(name) > 1:
            msg = f"the host {name} is there twice"
            raise ValueError(msg)


def whole(variables: dict[str, str]) -> dict[str, str]:
    """The variables of an environment. Raises ValueError when a value holds a zero byte, which none may."""
    for name, value in variables.items():
        if "\0" in value:
            msg = f"the value of {name} holds a zero byte"
            raise ValueError(msg)
    return variables
