"""How many workers there were at once, from changes of Jobs and pods in whatever order they were told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chaos.blow import Blow
from chaos.cluster_verdict import ClusterSeen, late, promises
from chaos.crowd import Change, Crowd, crowd
from chaos.plan import CLUSTER, IN_A_BURST, Fault, Work, in_turn
from chaos.witness import Tick
from tests.cluster.audit import Ended, How

START = datetime(2026, 1, 1, tzinfo=UTC)


def job(version: int, worker: str, *, uid: str = "", gone: bool = False, ended: bool = False) -> Change:
    return Change(version, "job", worker, uid or worker, worker, gone, ended)


def pod(version: int, worker: str, *, ended: bool = False, gone: bool = False, code: int | None = None) -> Change:
    return Change(version, "pod", f"{worker}-x", f"pod of {worker}", worker, gone, ended, code)


def test_a_worker_counts_from_its_job_to_the_end_of_its_process() -> None:
    changes = [
        job(1, "linux-1-1"),
        job(2, "linux-2-1"),
        pod(3, "linux-1-1"),
        pod(5, "linux-1-1", ended=True),
        job(6, "linux-1-2"),
        job(7, "linux-1-1", ended=True),
    ]
    assert crowd(reversed(changes)) == Crowd(most=2, made=3)


def test_a_pod_that_was_taken_is_still_a_worker_until_its_job_has_ended() -> None:
    changes = [job(1, "linux-1-1"), pod(2, "linux-1-1"), pod(3, "linux-1-1", gone=True), job(4, "linux-1-2")]
    assert crowd(changes).together == (("linux-1-1", "linux-1-2"),)
    assert crowd([*changes[:3], job(4, "linux-1-1", ended=True), job(5, "linux-1-2")]).together == ()


def test_a_name_made_twice_a_job_deleted_early_and_a_crash_are_seen() -> None:
    changes = [
        job(1, "linux-1-1"),
        job(2, "linux-1-1", gone=True),
        job(3, "linux-1-1", uid="other"),
        pod(4, "linux-1-1", ended=True, code=1),
        job(5, "linux-1-1", uid="other", ended=True),
        job(6, "linux-1-1", uid="other", ended=True, gone=True),
    ]
    found = crowd(changes)
    assert (found.twice, found.removed, found.crashed) == (("linux-1-1",), ("linux-1-1",), {"linux-1-1": 1})


def killed(cause: str, how: How = "killed") -> Ended:
    return Ended("ns", "linux-1-1-x", "linux-1-1", cause, 137, how, "build", "job")


def blow(fault: Fault, victim: str = "", seconds: float = 60) -> Blow:
    return Blow(fault, START, START + timedelta(seconds=seconds), victim)


def tick(seconds: float, *, drain: tuple[str, ...] = (), saw: bool = True, unknown: bool = False) -> Tick:
    counts = frozenset({"queue ready"} if unknown else ())
    return Tick(START + timedelta(seconds=seconds), 0, int(seconds * 10) + 1, "steady", (), drain, saw, counts)


@pytest.mark.parametrize(
    ("seen", "broken"),
    [
        (ClusterSeen(25, Crowd(most=25)), set()),
        (ClusterSeen(25, Crowd(most=26)), {"more workers than the cap"}),
        (ClusterSeen(25, Crowd(), (killed("Deleted"),), alarms=1), {"busy workers killed by the farm"}),
        (ClusterSeen(25, Crowd(), (killed("Deleted", "idle"), killed("Deleted", "finished"))), set()),
        (
            ClusterSeen(25, Crowd(), (killed("EvictionByEvictionAPI", "handed_back"),), alarms=1),
            {"busy workers killed by voluntary disruption"},
        ),
        (ClusterSeen(25, Crowd(), (killed("Forced"),), alarms=1), {"busy workers killed by the farm"}),
        (
            ClusterSeen(25, Crowd(), (killed("Forced"),), alarms=1, blows=(blow(Fault.FORCE_DELETE, "linux-1-1"),)),
            set(),
        ),
        (
            ClusterSeen(25, Crowd(), (killed("Forced"),), blows=(blow(Fault.FORCE_DELETE, "linux-1-1"),)),
            {"kills without an alarm"},
        ),
        (ClusterSeen(25, Crowd(), blows=(blow(Fault.PREEMPT, "linux-1-1"),)), {"pods taken that the audit missed"}),
        (ClusterSeen(25, Crowd(crashed={"linux-1-1": 1}), restarts=1), {"crashed without a strike"}),
        (
            ClusterSeen(25, Crowd(), ticks=(tick(20, unknown=True),), blows=(blow(Fault.REFUSE_BROKER),)),
            set(),
        ),
        (
            ClusterSeen(25, Crowd(), ticks=(tick(20, drain=("linux-1-1",)),), blows=(blow(Fault.REFUSE_BROKER),)),
            {"drained while the broker was away", "UNKNOWN not shown while the broker was away"},
        ),
    ],
)
def test_each_broken_promise_is_seen(seen: ClusterSeen, broken: set[str]) -> None:
    assert {name for name, breaches in promises(seen).items() if breaches} == broken


def test_decisions_that_come_late_are_seen() -> None:
    blows = (blow(Fault.HANG_API), blow(Fault.KILL_LEADER, seconds=0))
    early = ClusterSeen(25, Crowd(), ticks=(tick(4), tick(61, saw=False), tick(61.5)), blows=blows)
    assert {len(breaches) for breaches in late(early).values()} == {0}
    slow = ClusterSeen(25, Crowd(), ticks=(tick(5.5), tick(62.5)), blows=blows)
    assert {len(breaches) for breaches in late(slow).values()} == {1}
    assert {len(breaches) for breaches in late(ClusterSeen(25, Crowd(), blows=blows)).values()} == {1}


def test_strikes_on_a_cluster_come_one_after_the_other_and_leaders_die_in_a_burst() -> None:
    plan = in_turn(3, 420, CLUSTER, 4)
    assert plan == in_turn(3, 420, CLUSTER, 4)
    assert {strike.fault for strike in plan.strikes} == set(CLUSTER)
    for before, after in zip(plan.strikes, plan.strikes[1:], strict=False):
        assert before.at + before.seconds < after.at
    long = {strike.fault for strike in plan.strikes if strike.seconds == 60}
    assert long == {Fault.STOP_API, Fault.HANG_API, Fault.REFUSE_BROKER}
    assert {strike.fault for strike in plan.strikes if strike.burst is not None} == IN_A_BURST
    assert len({order.number for order in plan.asked}) == len(plan.asked) > len(plan.orders)
    assert Work.MESSAGES not in {order.work for order in plan.orders}
