"""Executors by platform: each is made once, and its library is loaded only where a pool asks for it."""

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
    """The executor of every pool, by the pool's name. Pools of one platform share one, and no others do.

    Args:
        pools: all of the farm.
        settings: of the scaler.
        inherited: the scaler's own environment; only local workers get it.
        clock: tells ages.

    Raises:
        InvalidSettings: a kind's library is not installed, or what it needs is wrong.
    """
    together: dict[tuple[str, ...], dict[str, PoolConfig]] = {}
    for pool in pools:
        together.setdefault(platform_of(pool), {})[pool.name] = pool
    made: dict[str, Executor] = {}
    for (kind, *_), there in together.items():
        if kind == "process":
            environment = local_environment(settings, inherited)
            own = {name: told for name, pool in there.items() if (told := of_policy(pool))}
            executor: Executor = ProcessExecutor(settings.data_dir, environment, clock, of_pools=own)
        else:
            environments = {name: remote_environment(settings, pool) for name, pool in there.items()}
            executor = _open(kind, there, environments, clock)
        made |= dict.fromkeys(there, executor)
    return made


def platform_of(pool: PoolConfig) -> tuple[str, ...]:
    """The executor's kind, and what tells the platform of a pool's workers from all others of that kind.

    Pools are seen, or cannot be seen, together where these are equal: one engine, one namespace of a cluster. Pools on
    SSH hosts have nothing in common, since each has an inventory of its own.
    """
    kind = pool.executor
    if docker := pool.docker if kind == "docker" else None:
        return (kind, docker.host, docker.certificates, docker.farm)
    if kubernetes := pool.kubernetes if kind == "kubernetes" else None:
        return (kind, kubernetes.kubeconfig, kubernetes.context, kubernetes.namespace, kubernetes.farm)
    return (kind, pool.name) if kind == "ssh" else (kind,)


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
