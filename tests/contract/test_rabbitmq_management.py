"""The second source of RabbitMQ's counts: what it tells when all is well, and that its every failure is told as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from buildyard.broker import open_broker, rabbitmq_management
from buildyard.broker.rabbitmq_management import DEADLINE_SECONDS, MANAGEMENT, METRICS, Management
from buildyard.errors import InvalidSettings
from buildyard.ports import Depth, Uncounted
from tests.contract.http_stub import Answer, HttpStub, drip, flood, hang_up, http_stub, never, reply
from tests.contract.test_rabbitmq_statistics import CLASSIC, QUEUE
from tests.contract.test_rabbitmq_statistics import METRICS as METRICS_TEXT

QUEUE_PATH = "/api/queues/%2F/jobs.linux"


@pytest.fixture
async def stub() -> AsyncIterator[HttpStub]:
    async with http_stub() as made:
        yield made


@pytest.fixture(autouse=True)
def _each_question_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq_management, "SPACING_SECONDS", 0.0)
    monkeypatch.setattr(rabbitmq_management, "DEADLINE_SECONDS", 60.0)  # machines stall; lateness has tests of its own


@asynccontextmanager
async def opened(stub: HttpStub, vhost: str = "/") -> AsyncIterator[Management]:
    management = Management(f"http://us%40er:se%3Acret@127.0.0.1:{stub.port}/", vhost)
    try:
        yield management
    finally:
        await management.close()


def queue(tick: int, **change: object) -> Answer:
    return reply(json.dumps(QUEUE | {"reductions": tick} | change).encode())


async def test_counts_come_with_their_age_once_a_new_tick_was_seen(stub: HttpStub) -> None:
    began = time.monotonic()
    async with opened(stub) as management:
        stub.answers[QUEUE_PATH] = queue(1)
        assert await management.ask("jobs.linux") == (
            Uncounted(MANAGEMENT, "No new tick of the statistics was seen yet, so their age is unknown."),
        )
        stub.answers[QUEUE_PATH] = queue(2)
        (found,) = await management.ask("jobs.linux")
    assert isinstance(found, Depth)
    assert (found.ready, found.unacked, found.total, found.has_leader, found.sampled) == (5, 3, 9, True, True)
    assert 5 <= found.age_seconds <= 5 + time.monotonic() - began
    assert stub.credentials[0] == "Authorization: Basic dXNAZXI6c2U6Y3JldA=="


async def test_a_leader_that_is_gone_is_told_at_once(stub: HttpStub) -> None:
    async with opened(stub) as management:
        stub.answers[QUEUE_PATH] = queue(1, leader=None)
        (found,) = await management.ask("jobs.linux")
    assert isinstance(found, Depth)
    assert found.has_leader is False


async def test_statistics_without_a_mark_have_the_greatest_age(stub: HttpStub) -> None:
    async with opened(stub) as management:
        stub.answers[QUEUE_PATH] = reply(json.dumps(CLASSIC).encode())
        (found,) = await management.ask("jobs.linux")
    assert isinstance(found, Depth)
    assert (found.age_seconds, found.has_leader) == (10, None)


async def test_a_virtual_host_is_one_segment_of_the_path(stub: HttpStub) -> None:
    async with opened(stub, "a/b c") as management:
        await management.ask("x.jobs.linux")
    assert "/api/queues/a%2Fb%20c/x.jobs.linux" in stub.asked


FAULTS: dict[str, tuple[Answer, str]] = {
    "404": (reply(b"{}", 404), "It knows no such queue."),
    "401": (reply(b"{}", 401), "It answered with status 401."),
    "500": (reply(b"oops", 500), "It answered with status 500."),
    "redirected": (reply(b"", 302), "It answered with status 302."),
    "no JSON": (reply(b'{"messages": 0'), "Its answer is no JSON."),
    "nothing": (reply(b""), "Its answer is no JSON."),
    "a list": (reply(b"[]"), "The answer is no object."),
    "no fields": (reply(b"{}"), "The queue's type is missing."),
    "nested without end": (reply(b"[" * 100_000), "Its answer is no JSON."),
    "no UTF-8": (reply(b"\xff\xfe\xfd"), "Its answer is no JSON."),
    "statistics switched off": (
        reply(json.dumps({name: QUEUE[name] for name in ("type", "state", "leader", "online")}).encode()),
        "The field messages_ready is missing.",
    ),
    "negative": (queue(1, messages_ready=-4), "The field messages_ready is no count."),
    "half an answer": (hang_up, "It broke off its answer."),
    "too long": (flood, "Its answer is too long."),
    "never": (never, "It did not answer within 1 s."),
    "in drops": (drip, "It did not answer within 1 s."),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_every_fault_is_told_as_what_it_is_and_in_time(
    stub: HttpStub, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, cause = FAULTS[name]
    if "did not answer within" in cause:
        monkeypatch.setattr(rabbitmq_management, "DEADLINE_SECONDS", DEADLINE_SECONDS)
    stub.answers[QUEUE_PATH] = answer
    async with opened(stub) as management:
        began = time.monotonic()
        assert await management.ask("jobs.linux") == (Uncounted(MANAGEMENT, cause),)
        assert time.monotonic() - began < DEADLINE_SECONDS + 20


async def test_who_refuses_connections_is_told_so_without_the_password() -> None:
    management = Management("http://user:secret@127.0.0.1:1", "/")
    assert await management.ask("jobs.linux") == (Uncounted(MANAGEMENT, "It cannot be reached."),)
    await management.close()


async def test_an_answer_is_given_again_for_a_moment_and_grows_older(
    stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_management, "SPACING_SECONDS", 60.0)
    stub.answers[QUEUE_PATH] = reply(json.dumps(CLASSIC).encode())
    began = time.monotonic()
    async with opened(stub) as management:
        (first,) = await management.ask("jobs.linux")
        (again,) = await management.ask("jobs.linux")
    assert isinstance(first, Depth)
    assert isinstance(again, Depth)
    assert first.age_seconds < again.age_seconds <= first.age_seconds + time.monotonic() - began
    assert stub.asked.count(QUEUE_PATH) == 1


# ------------------------------------------------------------------------------------------------ metrics


def listening(port: int) -> Answer:
    listeners = [{"protocol": "amqp", "port": 1}, {"protocol": "http/prometheus", "port": port}]
    return reply(json.dumps({"listeners": listeners}).encode())


async def test_metrics_are_a_further_witness_where_the_server_has_them(stub: HttpStub) -> None:
    stub.answers |= {
        QUEUE_PATH: queue(1),
        "/api/overview": listening(stub.port),
        "/metrics/detailed?family=queue_coarse_metrics&vhost=%2F": reply(METRICS_TEXT.encode()),
    }
    began = time.monotonic()
    async with opened(stub) as management:
        await management.ask("jobs.linux")
        stub.answers[QUEUE_PATH] = queue(2)
        stub.answers["/metrics"] = stub.answers.pop("/metrics/detailed?family=queue_coarse_metrics&vhost=%2F")
        stub.answers["/metrics"] = reply(METRICS_TEXT.replace("1234", "2345").encode())
        managed, found = await management.ask("jobs.linux")
        assert await management.ask("jobs.docker") == (Uncounted(MANAGEMENT, "It knows no such queue."),)
        stub.answers["/metrics"] = hang_up
        silent = await management.ask("jobs.linux")
    assert managed.source == MANAGEMENT
    assert isinstance(found, Depth)
    assert (found.source, found.ready, found.unacked, found.total, found.has_leader) == (METRICS, 5, 3, 9, None)
    assert found.age_seconds <= time.monotonic() - began
    assert silent[1] == Uncounted(METRICS, "It broke off its answer.")


@pytest.mark.parametrize("overview", [reply(b"{}"), reply(b"[]"), reply(b'{"listeners": [1, {}]}'), reply(b"", 401)])
async def test_without_metrics_there_is_no_such_witness(stub: HttpStub, overview: Answer) -> None:
    stub.answers |= {QUEUE_PATH: queue(1), "/api/overview": overview}
    async with opened(stub) as management:
        for _ in range(3):
            assert len(await management.ask("jobs.linux")) == 1
    assert stub.asked.count("/api/overview?columns=listeners") == 1


async def test_metrics_that_cannot_be_reached_from_here_are_no_witness(
    stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_management, "DEADLINE_SECONDS", DEADLINE_SECONDS)
    stub.answers |= {QUEUE_PATH: queue(1), "/api/overview": listening(stub.port), "/metrics": never}
    async with opened(stub) as management:
        for _ in range(3):
            assert [answer.source for answer in await management.ask("jobs.linux")] == [MANAGEMENT]
    assert sum(path.startswith("/metrics") for path in stub.asked) == 1


async def test_metrics_that_the_server_no_longer_has_are_a_witness_no_more(
    stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbitmq_management, "LOOK_FOR_METRICS_SECONDS", 0.0)
    stub.answers |= {QUEUE_PATH: queue(1), "/api/overview": listening(stub.port)}
    stub.answers["/metrics"] = reply(METRICS_TEXT.encode())
    async with opened(stub) as management:
        await management.ask("jobs.linux")
        stub.answers |= {"/metrics": reply(b"", 404), "/api/overview": reply(b'{"listeners": []}')}
        told = [[answer.source for answer in await management.ask("jobs.linux")] for _ in range(2)]
    assert told == [[MANAGEMENT, METRICS], [MANAGEMENT]]


# ------------------------------------------------------------------------------------------------ wiring


@pytest.mark.parametrize(
    "url", ["amqp://host:5672", "http://", "http://host:port", "http://host:0", "host:15672", "http://host/?a=b"]
)
def test_a_wrong_address_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(InvalidSettings, match="BUILDYARD_BROKER_MANAGEMENT_URL is not"):
        open_broker("amqp://guest:guest@127.0.0.1/", url)


def test_without_a_management_url_no_http_client_is_loaded() -> None:
    program = (
        "import sys, buildyard.broker as b; b.open_broker('amqp://127.0.0.1/');"
        "sys.exit('httpx' in sys.modules or 'buildyard.broker.rabbitmq_management' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, env=dict(os.environ)).returncode == 0
