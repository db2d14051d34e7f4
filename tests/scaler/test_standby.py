"""A scaler that stands by: whom it asks, and what it says where nobody answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from buildyard.client.scaler import HANDED_ON
from buildyard.contracts.scaling import PoolConfig
from buildyard.settings import load_settings
from scaler.api import create_app
from scaler.explaining import Explainer
from scaler.loop import Parts, PoolLoop
from scaler.record import DecisionRecord
from scaler.standby import url_of
from scaler.status import ScalerStatus
from tests.scaler.fakes import FakeBroker, FakeClock, FakeExecutor, FakeProducer

STANDS_BY = "Ask the one that leads."


class Standby:
    """Another one leads, as far as this one knows."""

    leads = False

    def __init__(self, leader: str) -> None:
        self._leader = leader

    def leader(self) -> str:
        return self._leader

    async def won(self) -> None:
        await asyncio.Event().wait()

    async def lost(self) -> None:
        """It never led."""

    def resign(self) -> None:
        """It never led."""

    async def aclose(self) -> None:
        """There is no keeper."""


@asynccontextmanager
async def standing_by(folder: Path, leader: str) -> AsyncIterator[httpx.AsyncClient]:
    clock, record = FakeClock(), DecisionRecord(folder / "decisions")
    parts = Parts(FakeProducer(), FakeBroker(), FakeExecutor(clock), record, clock)
    loop = PoolLoop(PoolConfig(name="linux"), parts, 1)
    status = ScalerStatus([loop], [parts.executor], clock, Standby(leader))
    app = create_app(status, Explainer(record, {"linux": loop}, FakeProducer(), clock), load_settings(), clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as http:
        yield http
    record.close()


@pytest.mark.parametrize(
    ("leader", "url"),
    [
        ("http://127.0.0.1:8080 (process 7 on box)", "http://127.0.0.1:8080"),
        ("http://10.1.2.3:8080 (process 1 on scaler-5d9f)", "http://10.1.2.3:8080"),
        ("http://[fd00::7]:8080 (process 1 on scaler-5d9f)", "http://[fd00::7]:8080"),
        ("http://scaler-0.scaler:8080 (process 1 on scaler-0)", "http://scaler-0.scaler:8080"),
        ("http://0.0.0.0:8080 (process 1 on scaler-5d9f)", ""),
        ("http://[::]:8080 (process 1 on scaler-5d9f)", ""),
        ("http://127.0.0.1:8080", ""),
        ("https://user:secret@elsewhere:80 (process 1 on x)", ""),
        ("one", ""),
        ("", ""),
    ],
)
def test_a_leader_is_asked_where_it_says_unless_that_means_nothing_elsewhere(leader: str, url: str) -> None:
    assert url_of(leader) == url


@pytest.mark.parametrize(
    ("leader", "sentence"),
    [
        ("", "This scaler stands by."),
        ("http://0.0.0.0:8080 (process 1 on x)", "This scaler stands by: http://0.0.0.0:"),
    ],
)
async def test_without_an_address_of_the_leader_it_says_who_leads_and_shows_the_workers(
    tmp_path: Path, leader: str, sentence: str
) -> None:
    async with standing_by(tmp_path, leader) as http:
        refused, workers = await http.get("/decisions"), await http.get("/agents")

    assert (refused.status_code, refused.json()["remedy"]) == (httpx.codes.SERVICE_UNAVAILABLE, STANDS_BY)
    assert refused.json()["detail"].startswith(sentence)
    assert workers.status_code == httpx.codes.OK


async def test_a_leader_that_is_gone_is_a_temporary_trouble_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]

    async with standing_by(tmp_path, f"http://127.0.0.1:{port} (process 1 on box)") as http:
        for path in ("/decisions", "/why", "/agents", "/agents/linux-1-1/logs"):
            answer = await http.get(path)
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert f"The scaler at http://127.0.0.1:{port} cannot be reached" in answer.json()["detail"]
        assert (await http.get("/livez")).status_code == httpx.codes.OK


async def test_what_was_handed_on_once_is_not_handed_on_again(tmp_path: Path) -> None:
    async with standing_by(tmp_path, "http://127.0.0.1:1 (process 1 on box)") as http:
        refused = await http.get("/decisions", headers={HANDED_ON: "1"})

    assert (refused.status_code, refused.json()["remedy"]) == (httpx.codes.SERVICE_UNAVAILABLE, STANDS_BY)
