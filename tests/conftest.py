"""Servers and tools for every test; `tests/servers.py` says where they are found and what their absence means."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests import servers
from tests.cluster import running
from tests.cluster.running import Cluster

_CLUSTER = ("tests/cluster/", "tests/cluster_verbs/test_on_a_real_server.py")
_AFTER_CLUSTER = ("tests/orchestrator/", "tests/scaler/", "tests/tui/", "tests/worker/")

settings.register_profile("stalls", settings(), deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("stalls")  # a machine that stops for a moment refutes nothing


def pytest_configure() -> None:
    """Let programs under test feel Ctrl-C and a closed terminal also where this run itself stands in the background.

    A shell without job control starts its background commands with SIGINT ignored, `nohup` with SIGHUP ignored, and
    whatever such a process starts inherits that. A handled signal goes back to its default action at exec.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on a cluster come late: building its programs takes minutes, for which the first of them has the time."""
    items.sort(key=_turn)
    first = next(filter(_on_cluster, items), None)
    if first is not None:
        first.add_marker(pytest.mark.timeout(3600), append=False)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Where tests run side by side: those of one file in one process, and all that share the cluster in one too."""
    return _ByFile(config, log)


class _ByFile(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "cluster" if nodeid.startswith(_CLUSTER) else nodeid.partition("::")[0]


def _on_cluster(item: pytest.Item) -> bool:
    return item.nodeid.startswith(_CLUSTER)


def _turn(item: pytest.Item) -> int:
    """Not the last ones either: beside tests that wait for the cluster's programs the others go on."""
    return 1 if _on_cluster(item) else 2 * item.nodeid.startswith(_AFTER_CLUSTER)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Kubernetes cluster with real processes as pods; `tests/cluster/__init__.py` says what it is."""
    with running.cluster() as made:
        yield made


@pytest.fixture(scope="session")
def rabbitmq_3_url() -> Iterator[str]:
    """A virtual host on the distribution's RabbitMQ."""
    with servers.virtual_host(servers.RABBITMQ_3) as url:
        yield url


@pytest.fixture(scope="session")
def rabbitmq_4_url() -> Iterator[str]:
    """A virtual host on RabbitMQ 4."""
    with servers.virtual_host(servers.RABBITMQ_4) as url:
        yield url


@pytest.fixture(params=["rabbitmq-3", "rabbitmq-4"])
def amqp_url(request: pytest.FixtureRequest) -> str:
    """A broker URL with a prefix of this test's own, on each RabbitMQ in turn.

    One server only: `@pytest.mark.parametrize("amqp_url", ["rabbitmq-3"], indirect=True)`.
    """
    url: str = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
    return servers.with_prefix(url)


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The PostgreSQL server itself; a test that writes takes `fresh_postgres`."""
    return servers.postgres()


@pytest.fixture
def fresh_postgres(postgres_url: str) -> Iterator[str]:
    """An empty database for one test."""
    with servers.database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def dotnet() -> str:
    """The path of a .NET SDK's `dotnet`."""
    return servers.need("dotnet")
