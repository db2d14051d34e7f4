"""Executors by kind: each is made once, and its library is loaded only where a pool asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, cast

from buildyard.clock import Clock
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import InvalidSettings
from buildyard.settings import Settings
from scaler.executors import Executor
from scaler.executors.process import ProcessExecutor
from scaler.executors.worker_settings import local_environment, of_policy, remote_environment


class _Kind(NamedTuple):
    """Where an executor is, and the extra of the package that brings its library."""

    module: str
    name: str
    extra: str


KINDS: dict[str, _Kind] = {
    "docker": _Kind("scaler.executors.docker", "DockerExecutor", "docker"),
    "ssh": _Kind("scaler.executors.ssh", "SshExecutor", "ssh"),
    "kubernetes": _Kind("scaler.executors.kubernetes", "KubernetesExecutor", "kubernetes"),
}


def open_executors(
    pools: Sequence[PoolConfig], settings: Settings, inherited: Mapping[str, str], clock: Clock
) -> dict[str, Executor]:
    """One executor for each kind that a pool names, by kind.

    Args:
        pools: all of the farm.
        settings: of the scaler.
        inherited: the scaler's own environment; only local workers get it.
        clock: tells ages.

    Raises:
        InvalidSettings: a kind's library is not installed, or what it needs is wrong.
    """
    by_kind: dict[str, dict[str, PoolConfig]] = {}
    for pool in pools:
        by_kind.setdefault(pool.executor, {})[pool.name] = pool
    made: dict[str, Executor] = {}
    for kind, of_kind in by_kind.items():
        if kind == "process":
            environment = local_environment(settings, inherited)
            own = {name: told for name, pool in of_kind.items() if (told := of_policy(pool))}
            made[kind] = ProcessExecutor(settings.data_dir, environment, clock, of_pools=own)
        else:
            environments = {name: remote_environment(settings, pool) for name, pool in of_kind.items()}
            made[kind] = _open(kind, of_kind, environments, clock)
    return made


def _open(
    kind: str, pools: Mapping[str, PoolConfig], environments: Mapping[str, Mapping[str, str]], clock: Clock
) -> Executor:
    module, name, extra = KINDS[kind]
    try:
        factory = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            f"The pool {min(pools)} has the executor {kind}, which needs the Python package {error.name}.",
            remedy=f"Install it: pip install 'buildyard[{extra}]'.",
        ) from error
    return cast("Executor", factory(pools, environments, clock))
