"""Each contract test runs on every adapter; `tests/servers.py` says what an absent server means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from buildyard import ports
from buildyard.broker import rabbitmq_link
from tests.contract.rigs import Rig, rabbitmq_rig, sqlite_rig

RABBITMQ = ["rabbitmq-3", "rabbitmq-4"]


@pytest.fixture(autouse=True)
def _no_stall_is_lateness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stops for seconds changes no answer; tests of lateness set what is late themselves."""
    monkeypatch.setattr(rabbitmq_link, "DEADLINE_SECONDS", 60.0)
    monkeypatch.setattr(ports, "SLOW_SECONDS", 60.0)


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
