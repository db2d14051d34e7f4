"""Executors by platform, and what their workers are told."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import buildyard
from buildyard.clock import Clock, SystemClock
from buildyard.contracts.pools_docker import DockerPool
from buildyard.contracts.pools_kubernetes import KubernetesPool
from buildyard.contracts.scaling import PoolConfig, ScalingPolicy
from buildyard.errors import InvalidSettings
from buildyard.settings import Settings, load_settings
from scaler.executors import opening
from scaler.executors.opening import open_executors, platform_of
from scaler.executors.process import ProcessExecutor
from scaler.executors.worker_settings import (
    ALWAYS_TOLD,
    OF_ITS_MACHINE,
    OF_ITS_POOL,
    TOLD_WHERE_GIVEN,
    local_environment,
    remote_environment,
)

ROOT = Path(buildyard.__file__).parents[1]
READ_BY_WORKERS = ("worker", "buildyard/broker", "buildyard/objects", "buildyard/client")


def pool(name: str = "linux", executor: str = "process", policy: str = "burst", **tables: Any) -> PoolConfig:
    config = PoolConfig(name=name, policy=ScalingPolicy.model_validate({"name": policy, "idle_exit": 12.5}))
    return config.model_copy(update={"executor": executor, **tables})


class _Elsewhere:
    """An executor of a kind that is opened only when a pool names it."""

    def __init__(
        self, pools: Mapping[str, PoolConfig], environment: Mapping[str, Mapping[str, str]], clock: Clock
    ) -> None:
        self.pools, self.environment, self.clock = pools, environment, clock


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("executor_elsewhere")
    vars(module)["Elsewhere"] = _Elsewhere
    monkeypatch.setitem(sys.modules, "executor_elsewhere", module)
    kind = opening.KINDS["docker"]._replace(module="executor_elsewhere", name="Elsewhere")
    monkeypatch.setitem(opening.KINDS, "docker", kind)


def test_pools_of_one_platform_share_an_executor_and_no_others_do(tmp_path: Path, elsewhere: None) -> None:
    here, there = DockerPool(image="worker"), DockerPool(image="worker", host="unix:///there.sock")
    pools = (
        *(pool("linux"), pool("arm")),
        pool("docker", "docker", docker=here),
        pool("images", "docker", "elastic", docker=here.model_copy(update={"image": "other"})),
        pool("away", "docker", docker=there),
    )

    made = open_executors(pools, load_settings(data_dir=tmp_path), {"SECRET": "x"}, SystemClock())

    assert list(made) == ["linux", "arm", "docker", "images", "away"]
    assert isinstance(made["linux"], ProcessExecutor)
    assert made["linux"] is made["arm"]
    docker, away = made["docker"], made["away"]
    assert isinstance(docker, _Elsewhere)
    assert isinstance(away, _Elsewhere)
    assert made["images"] is docker
    assert set(docker.pools) == set(docker.environment) == {"docker", "images"}
    assert set(away.pools) == set(away.environment) == {"away"}
    assert docker.environment["images"]["BUILDYARD_IDLE_EXIT_SECONDS"] == "12.5"
    assert "BUILDYARD_IDLE_EXIT_SECONDS" not in docker.environment["docker"]
    assert "SECRET" not in docker.environment["docker"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"docker": DockerPool(image="a")}, {"docker": DockerPool(image="a", host="unix:///there.sock")}),
        ({"docker": DockerPool(image="a")}, {"docker": DockerPool(image="a", farm="other")}),
        ({"kubernetes": KubernetesPool(image="a")}, {"kubernetes": KubernetesPool(image="a", context="there")}),
        ({"kubernetes": KubernetesPool(image="a")}, {"kubernetes": KubernetesPool(image="a", kubeconfig="/there")}),
        ({"kubernetes": KubernetesPool(image="a")}, {"kubernetes": KubernetesPool(image="a", namespace="other")}),
    ],
)
def test_what_can_be_away_by_itself_is_a_platform_of_its_own(one: dict[str, Any], other: dict[str, Any]) -> None:
    (kind,) = one
    same = {kind: one[kind].model_copy(update={"image": "b"})}

    assert platform_of(pool("linux", kind, **one)) == platform_of(pool("arm", kind, **same))
    assert platform_of(pool("linux", kind, **one)) != platform_of(pool("arm", kind, **other))
    assert platform_of(pool("linux", "ssh")) != platform_of(pool("arm", "ssh"))
    assert platform_of(pool("linux")) == platform_of(pool("arm"))


def test_a_kind_whose_library_is_not_installed_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(opening.KINDS, "ssh", opening.KINDS["ssh"]._replace(module="no_such_library"))

    with pytest.raises(InvalidSettings, match="The pool far has the executor ssh, which needs the Python") as caught:
        open_executors([pool("far", "ssh")], load_settings(data_dir=tmp_path), {}, SystemClock())

    assert caught.value.remedy == "Install it: pip install 'buildyard[ssh]'."


def test_local_workers_get_every_setting_that_was_given_but_no_key_to_the_brokers_management(tmp_path: Path) -> None:
    management = "http://admin:secret@127.0.0.1:15672"
    settings = load_settings(
        data_dir=tmp_path, token="s3cret", lease_seconds=5, pools_file=None, broker_management_url=management
    )
    inherited = {"PATH": "/bin", "BUILDYARD_TOKEN": "older", "BUILDYARD_BROKER_MANAGEMENT_URL": management}

    environment = local_environment(settings, inherited)

    assert environment == {
        "PATH": "/bin",
        "BUILDYARD_DATA_DIR": str(tmp_path),
        "BUILDYARD_TOKEN": "s3cret",
        "BUILDYARD_LEASE_SECONDS": "5.0",
    }


def test_workers_elsewhere_get_what_they_read_and_no_credential_of_the_scaler(tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path,
        broker_url="amqp://worker@broker/",
        objects_url="s3://bucket/farm",
        api_url="http://producer:8000",
        token="s3cret",
        grace_seconds=40,
        store_url="postgresql+asyncpg://admin:secret@db/x",
        broker_management_url="http://admin:secret@broker:15672",
        git_credentials_file="/home/me/keys.toml",
    )

    assert remote_environment(settings, pool()) == {
        "BUILDYARD_API_URL": "http://producer:8000",
        "BUILDYARD_BROKER_URL": "amqp://worker@broker/",
        "BUILDYARD_OBJECTS_URL": "s3://bucket/farm",
        "BUILDYARD_TOKEN": "s3cret",
        "BUILDYARD_GRACE_SECONDS": "40.0",
    }


def test_where_things_are_is_told_also_when_it_is_the_default(tmp_path: Path) -> None:
    told = remote_environment(load_settings(data_dir=tmp_path), pool())

    assert told["BUILDYARD_API_URL"] == "http://127.0.0.1:8000"
    assert told["BUILDYARD_OBJECTS_URL"] == f"file://{tmp_path}/objects"


def test_every_setting_that_workers_read_is_told_or_is_one_of_their_own_machine() -> None:
    """A new setting of the worker must be put on one of the lists."""
    known = {*ALWAYS_TOLD, *ALWAYS_TOLD.values(), *TOLD_WHERE_GIVEN, *OF_ITS_MACHINE, *OF_ITS_POOL}

    assert read_settings() - known == set()
    assert {*ALWAYS_TOLD, *TOLD_WHERE_GIVEN, *OF_ITS_MACHINE, *OF_ITS_POOL} <= set(Settings.model_fields)


def read_settings() -> set[str]:
    """Names of settings that are read as `settings.NAME` or `settings.listed("NAME")` where workers run."""
    names = {*Settings.model_fields, "api", "broker", "objects"}
    found: set[str] = set()
    for folder in READ_BY_WORKERS:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("settings"):
                    found.add(node.attr)
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("settings.listed"):
                    found.add(ast.literal_eval(node.args[0]))
    return found & names
