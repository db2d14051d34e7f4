"""A short soak under faults: every promise is checked against a ledger that the farm knows nothing of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.page import rows_of, table
from chaos.plan import EMBEDDED, KILLS, OWN_RABBITMQ_3, OWN_SERVERS, SERVERS, Fault, Work, schedule
from chaos.soak import soak
from chaos.verdict import Entry, judge
from chaos.yard import LEASE_SECONDS, Servers
from tests.servers import need

_SECONDS = 40.0


def test_a_seed_gives_the_same_orders_and_strikes() -> None:
    assert schedule(7, 600, SERVERS, 4) == schedule(7, 600, SERVERS, 4)
    assert schedule(7, 600, SERVERS, 4) != schedule(8, 600, SERVERS, 4)


def test_a_long_run_orders_all_kinds_and_strikes_with_all_faults() -> None:
    plan = schedule(1, 600, EMBEDDED, 4)

    assert {order.work for order in plan.orders} == set(Work) - {Work.MESSAGES}, "which are of a plan of their own"
    assert all(order.at < 600 - 60 for order in plan.orders if order.work is Work.POISON), "too late to see its end"
    assert len({order.number for order in plan.orders}) == len(plan.orders)
    assert {strike.fault for strike in plan.strikes} == set(EMBEDDED)
    assert all(strike.seconds > 4 for strike in plan.strikes if "frozen" in strike.fault), "shorter than a lease"


def test_a_long_run_has_an_outage_of_a_minute_and_a_worker_frozen_for_two() -> None:
    strikes = schedule(1, 600, OWN_SERVERS, 4).strikes

    for fault, seconds in ((Fault.REFUSE_BROKER, 60), (Fault.FREEZE_WORKER, 120)):
        lengths = [strike.seconds for strike in strikes if strike.fault is fault]
        assert lengths[0] == seconds
        assert max(lengths[1:]) < seconds
    assert max(strike.seconds for strike in schedule(1, 120, OWN_SERVERS, 4).strikes) < 10


def test_chosen_faults_strike_first_and_once_before_the_others() -> None:
    strikes = schedule(1, 600, OWN_SERVERS, 4, KILLS).strikes

    assert tuple(strike.fault for strike in strikes[:2]) == KILLS
    assert {strike.fault for strike in strikes[: len(OWN_SERVERS)]} == set(OWN_SERVERS)


@pytest.mark.journey
@pytest.mark.parametrize("where", ["embedded", "servers"])
async def test_no_promise_is_broken_under_fire(where: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    need("make")
    need("git")
    servers: Servers | None = None
    if where == "servers":
        servers = request.getfixturevalue("own_servers")["rabbitmq3"]
    faults, first = (EMBEDDED, ()) if servers is None else (OWN_RABBITMQ_3, KILLS)

    observed = await soak(tmp_path, schedule(4, _SECONDS, faults, LEASE_SECONDS, first), servers)

    verdict = judge(observed)
    print(table(rows_of(observed, verdict)))
    assert {promise: breaches for promise, breaches in verdict.broken.items() if breaches} == {}
    assert observed.accepted, "nothing was accepted, so nothing was proven"
    assert observed.blows, "nothing struck, so nothing was proven"
    assert set(first) <= {blow.fault for blow in observed.blows}
    # The judge itself: a doubled command and a lost build do not escape it.
    entry = observed.ledger[0]
    doubled = replace(observed, ledger=(*observed.ledger, entry, Entry(entry.order, entry.job, 99, "start")))
    doubled.builds = dict(list(observed.builds.items())[1:])
    broken = judge(doubled).broken
    assert broken["commands doubled"]
    assert broken["commands nobody knows"]
    assert len(broken["lost"]) == 1
