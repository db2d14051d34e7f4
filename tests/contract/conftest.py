"""Each contract test runs on every adapter; `tests/servers.py` says what an absent server means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.rigs import Rig, rabbitmq_rig, sqlite_rig

RABBITMQ = ["rabbitmq-3", "rabbitmq-4"]


@pytest.fixture(params=["sqlite", *RABBITMQ])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Every broker in turn."""
    if request.param == "sqlite":
        async with sqlite_rig(tmp_path) as made:
            yield made
    else:
        url = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
        async with rabbitmq_rig(request.param, url) as made:
            yield made


@pytest.fixture(params=RABBITMQ)
async def rabbitmq(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Every RabbitMQ in turn."""
    url = request.getfixturevalue(f"{request.param.replace('-', '_')}_url")
    async with rabbitmq_rig(request.param, url) as made:
        yield made
