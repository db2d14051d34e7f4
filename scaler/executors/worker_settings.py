"""The settings that a worker is started with.

A local worker inherits the scaler's environment. Every other one is told the settings that a worker reads and no more:
what else the scaler knows, its credentials above all, is none of a machine's business on which builds of others run.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildyard.contracts.scaling import PoolConfig
from buildyard.settings import Settings

IDLE_EXIT = "BUILDYARD_IDLE_EXIT_SECONDS"
"""By the policy `elastic` workers leave by themselves; every executor tells them when."""
ALWAYS_TOLD = {"api_url": "api", "broker_url": "broker", "objects_url": "objects"}
"""Without these no worker works: they are told with the scaler's defaults filled in."""
TOLD_WHERE_GIVEN = (
    "token",
    "git_hosts",
    "call_hosts",
    "unpack_max_bytes",
    "unpack_max_entries",
    "work_disk_bytes",
    "max_build_minutes",
    "grace_seconds",
    "orphan_grace_seconds",
    "log_level",
    "log_format",
)
OF_ITS_MACHINE = ("data_dir", "git_credentials_file", "git_local_roots")
"""Read by workers, but never told to one elsewhere: paths of this machine mean nothing there."""
OF_ITS_POOL = ("idle_exit_seconds", "ends_at")
"""Read by workers, and told by what their pool or their executor says."""
_ONLY_OF_SCALERS = ("broker_management_url",)


def local_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a local worker: what the scaler inherited, and every setting that was given to it.

    All but the credentials of the broker's management API: only who scales asks there.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    given["data_dir"] = settings.data_dir.resolve()
    environment = {**inherited, **{_variable(name): str(value) for name, value in given.items() if value is not None}}
    for name in _ONLY_OF_SCALERS:
        environment.pop(_variable(name), None)
    return environment


def remote_environment(settings: Settings, pool: PoolConfig) -> dict[str, str]:
    """The BUILDYARD_* settings of a worker elsewhere; nothing of the scaler's own environment."""
    told = {name: str(getattr(settings, filled_in)) for name, filled_in in ALWAYS_TOLD.items()}
    told |= {name: str(getattr(settings, name)) for name in TOLD_WHERE_GIVEN if name in settings.model_fields_set}
    return {**{_variable(name): value for name, value in told.items()}, **of_policy(pool)}


def of_policy(pool: PoolConfig) -> dict[str, str]:
    """What the policy of its pool tells a worker."""
    return {IDLE_EXIT: f"{pool.policy.idle_exit:g}"} if pool.policy.name == "elastic" else {}


def _variable(name: str) -> str:
    return f"BUILDYARD_{name.upper()}"
