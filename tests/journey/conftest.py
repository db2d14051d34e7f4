"""Farms to journey through: on embedded defaults, and on RabbitMQ with PostgreSQL."""

from __future__ import annotations

import pytest

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
