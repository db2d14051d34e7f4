"""The example's service does what its flags say: other tests build on it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from tests.slow_service import SlowService, slow_service

ROOT = Path(__file__).resolve().parents[3]


async def statuses(service: SlowService, calls: int, silence: float = 60) -> list[int | str]:
    """How calls one after another end; one hangs that is silent for so many seconds."""
    found: list[int | str] = []
    for number in range(calls):
        try:
            answer = await service.client.get(f"/{number}", timeout=httpx.Timeout(60, read=silence))
        except httpx.ReadTimeout:
            found.append("hung")
        except httpx.RemoteProtocolError:
            found.append("cut")
        else:
            found.append(answer.status_code)
    return found


async def test_two_services_of_one_seed_have_the_same_moods_and_of_another_seed_others() -> None:
    rates = ("--latency", "0", "--fail-rate", "0.3", "--busy-rate", "0.2", "--cut-rate", "0.2")
    runs = []
    for seed in ("1", "1", "2"):
        async with slow_service(*rates, "--seed", seed) as service:
            runs.append(await statuses(service, 25))
    assert runs[0] == runs[1] != runs[2]
    assert {200, 500, 503, "cut"} <= set(runs[0])


async def test_what_hangs_and_what_is_cut_short_is_told_apart_and_counted() -> None:
    for flag, end in (("--hang-rate", "hung"), ("--cut-rate", "cut")):
        async with slow_service("--latency", "0", flag, "1") as service:
            assert await statuses(service, 2, silence=0.5 if end == "hung" else 60) == [end, end]
            async with asyncio.timeout(120):
                while (await service.stats())["ends"] != {end: 2}:
                    await asyncio.sleep(0.01)


async def test_above_the_rate_a_call_is_told_when_to_come_again() -> None:
    async with slow_service("--latency", "0", "--rate-limit", "1", "--retry-after-date") as service:
        answers = [await service.client.get("/x", headers={"Idempotency-Key": "k"}) for _ in range(3)]
        stats = await service.stats()
    assert answers[0].status_code == 200
    assert 429 in {answer.status_code for answer in answers}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert parsedate_to_datetime(refused.headers["Retry-After"]).tzinfo is not None
    assert stats["keys"]["k"]["calls"] == 3
    assert stats["keys"]["k"]["done"] == stats["ends"]["200"] < 3


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"rubbish\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b"413"),
    ],
    ids=["rubbish", "negative", "chunked", "long body", "long head"],
)
async def test_a_request_it_cannot_read_is_refused(request_bytes: bytes, status: bytes) -> None:
    async with slow_service("--latency", "0") as service:
        host, _, port = service.place.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_bytes)
        answer = await reader.readline()
        writer.close()
        assert (await service.stats())["calls"] == 0
    assert answer.split(b" ")[1] == status


@pytest.mark.parametrize(
    "arguments",
    [["--fail-rate", "2"], ["--latency", "-1"], ["--latency", "nan"], ["--fail-rate", "0.6", "--cut-rate", "0.6"]],
)
def test_a_wrong_flag_is_refused_in_a_sentence(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "examples.slow_api", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "slow_api: error: " in run.stderr


async def test_a_port_that_is_taken_is_refused_in_a_sentence() -> None:
    async with slow_service() as service:
        port = service.place.partition(":")[2]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "examples.slow_api", "--port", port, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.decode().startswith(f"slow_api cannot listen on 127.0.0.1:{port}: ")
    assert "Traceback" not in errors.decode()
