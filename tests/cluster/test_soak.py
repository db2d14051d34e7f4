"""A short soak with workers as Jobs: two producers, two scalers, and strikes that only a cluster knows.

`./manage.sh chaos --on cluster` is the long one; it holds the farm to its times as well.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.cluster_site import open_site
from chaos.page import rows_of, table
from chaos.plan import CLUSTER, Fault, Order, Schedule, Strike, Work
from chaos.soak import soak
from chaos.verdict import judge
from chaos.yard import Servers
from tests.cluster.running import Cluster
from tests.servers import need

pytestmark = [pytest.mark.journey, pytest.mark.timeout(1200)]

MOST = 4
MESSAGES = 40


def plan() -> Schedule:
    """Slow builds for workers to be busy with, a crowd of messages, and strikes one after the other."""
    slow = tuple(Order(number, 1.0, Work.SLOW, None) for number in range(2, 8))
    later = tuple(Order(number, 18.0, Work.SLOW, None) for number in range(8, 12))
    turns = (
        (Fault.FORCE_DELETE, 0.0),
        (Fault.PREEMPT, 0.0),
        (Fault.HANG_API, 4.0),
        (Fault.KILL_LEADER, 0.0),
        (Fault.FREEZE_LEADER, 5.0),
        (Fault.STOP_API, 1.0),
    )
    strikes = tuple(Strike(2.0, fault, seconds, 0.5) for fault, seconds in turns)
    return Schedule((Order(1, 0.0, Work.MESSAGES, None, MESSAGES), *slow, *later), strikes, in_turn=True)


@pytest.mark.parametrize("amqp_url", ["rabbitmq-3"], indirect=True)
async def test_no_promise_is_broken_on_a_cluster(
    cluster: Cluster, amqp_url: str, postgres_url: str, tmp_path: Path
) -> None:
    need("make")
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's: nobody may stop its API server")
    async with open_site(cluster, tmp_path, MOST) as site:
        observed = await soak(tmp_path, plan(), Servers(amqp_url, postgres_url), site)

    verdict = judge(observed)
    print(table(rows_of(observed, verdict)))
    assert {promise: breaches for promise, breaches in verdict.broken.items() if breaches} == {}
    struck = {blow.fault for blow in observed.blows}
    assert struck >= {Fault.STOP_API, Fault.HANG_API, Fault.FORCE_DELETE}
    assert struck <= set(CLUSTER)
    seen = observed.cluster
    assert seen is not None
    assert seen.crowd.most == MOST, "the cap was reached, and never passed"
    forced = [one for one in seen.ended if one.cause == "Forced"]
    assert forced
    # The judge itself: what a strike did not do does not escape it.
    ours = replace(seen, ended=(*seen.ended, replace(forced[0], cause="Deleted", how="killed")))
    observed.cluster = replace(ours, crowd=replace(seen.crowd, most=MOST + 1, twice=("linux-1-1",)))
    broken = judge(observed).broken
    assert len(broken["busy workers killed by the farm"]) == 1
    assert broken["more workers than the cap"]
    assert broken["Jobs made twice"]
