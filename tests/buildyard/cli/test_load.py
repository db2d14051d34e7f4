"""`buildyard load`: an open loop whose latencies count from the moment a request was due."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from buildyard.cli.load import MOST_REQUESTS, Report, Sent, Wanted, mix_of, percentile, plan, send
from buildyard.errors import InvalidSettings, Overloaded
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply
from tests.buildyard.cli.run import Shell


def wanted(**changes: Any) -> Wanted:
    usual = {"rate": 50, "seconds": 10, "mix": (("project", 3), ("csv", 1)), "job_seconds": 0, "rows": 5}
    return Wanted(**{**usual, "pool": "linux", "seed": 1, "wait": False, **changes})


def test_equal_seeds_give_equal_loads_at_the_rate_and_in_the_mix_that_was_asked_for() -> None:
    requests = plan(wanted())

    assert requests == plan(wanted())
    assert requests != plan(wanted(seed=2))
    assert 400 < len(requests) < 600
    assert 0.6 < sum(one.kind == "project" for one in requests) / len(requests) < 0.9
    assert [one.due for one in requests] == sorted(one.due for one in requests)


@pytest.mark.parametrize("changes", [{"rate": 0}, {"seconds": float("nan")}, {"rate": MOST_REQUESTS}])
def test_a_load_that_cannot_be_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidSettings):
        plan(wanted(**changes))


@pytest.mark.parametrize("text", ["", "project=0", "mars", "csv=x", "csv=inf"])
def test_a_mix_of_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings):
        mix_of(text)


def test_percentiles_are_of_the_nearest_rank() -> None:
    hundred = [float(number) for number in range(1, 101)]

    assert [percentile(hundred, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]
    assert (percentile([], 0.5), percentile([7], 0.01)) == (None, 7)


async def test_a_stall_is_charged_for_everybody_who_came_meanwhile() -> None:
    """A closed loop would send one request into the stall and tell of one slow answer."""
    stalled = asyncio.Event()
    report = Report()

    async def submit(_: Sent) -> str:
        await stalled.wait()
        return "id"

    async def stall() -> None:
        while len(report.sent) < 10:
            await asyncio.sleep(0.01)
        stalled.set()

    # all were due long ago: a sender that is late itself is charged too
    await asyncio.gather(
        send([Sent("csv", number / 100) for number in range(10)], report, submit, time.perf_counter() - 5), stall()
    )

    assert len(report.latencies()) == 10
    assert min(report.latencies()) >= 4.9


async def test_a_refusal_is_an_answer_and_stops_nobody() -> None:
    report = Report()

    async def submit(one: Sent) -> str:
        if one.due == 0:
            raise Overloaded("Too many open builds.")
        return "id"

    await send([Sent("csv", 0), Sent("csv", 0.001)], report, submit)

    assert [(one.build_id, one.refusal) for one in report.sent] == [("", "Too many open builds."), ("id", "")]
    assert len(report.latencies()) == 2


def test_a_load_is_told_as_a_table_with_what_became_of_the_builds(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/pools", {"pools": [], "at": answers.AT})
    server.on("POST", "/upload", Reply(202, answers.accepted()))
    server.on("GET", f"/api/v1/builds/{answers.BUILD_ID}", answers.status(status="Succeeded", startTime=answers.AT))
    words = ("load", "--rate", "40", "--seconds", "0.5", "--mix", "project=1,csv=1", "--wait")

    ran = shell(*words)
    assert ran.code == 0, ran.err
    assert [line.split()[0] for line in ran.out.splitlines()][:1] == ["KIND"]
    assert "Succeeded; they waited p50" in ran.out
    told = json.loads(shell(*words, "--json").out)
    assert told["kinds"]["all"]["sent"] == told["kinds"]["all"]["accepted"] == told["builds"]["Succeeded"]


def test_refused_requests_are_a_failure_that_is_told(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/pools", {"pools": [], "at": answers.AT})
    ran = shell("load", "--rate", "20", "--seconds", "0.3")

    assert ran.code == 1
    assert "refused:" in ran.err
