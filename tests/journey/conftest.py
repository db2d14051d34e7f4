"""Farms to journey through: on embedded defaults, and on RabbitMQ with PostgreSQL, also on such as may be killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos import own
from chaos.yard import Servers
from tests import servers


@pytest.fixture(params=["embedded", "servers"])
def where(request: pytest.FixtureRequest) -> dict[str, str]:
    """The settings that say where a farm keeps its queues and its state."""
    if request.param == "embedded":
        return {}
    return {
        "BUILDYARD_BROKER_URL": servers.with_prefix(request.getfixturevalue("rabbitmq_3_url")),
        "BUILDYARD_STORE_URL": request.getfixturevalue("fresh_postgres"),
    }


@pytest.fixture(scope="session")
def own_servers() -> Iterator[dict[str, Servers]]:
    """RabbitMQ 3.10 and 4 (`rabbitmq3`, `rabbitmq4`) and PostgreSQL, which a test may kill and has to restart."""
    running = own.own_servers()
    try:
        started = running.__enter__()
    except own.NoServers as error:
        servers.absent(str(error))
    try:
        yield started
    finally:
        running.__exit__(None, None, None)
