"""Several pools under one maximum, tick by tick in any order: the bound holds, and nobody starves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.scaling import (
    DecisionCode,
    Plan,
    PolicyName,
    PoolConfig,
    PoolObserved,
    ScalingPolicy,
    WorkerState,
)
from scaler.decide import decide, wanted
from scaler.places import DOUBT_SECONDS, Places
from scaler.readings import slot_of
from scaler.shares import Demand, doubted_places, fair_shares, room
from tests.scaler.observing import known, observed, unknown, worker

PENDING, IDLE, BUSY, DRAINING = WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY, WorkerState.DRAINING
NAMES = ("docker", "linux", "windows")


class Pool:
    """One pool of a farm in memory."""

    def __init__(self, name: str, policy: PolicyName, weight: float) -> None:
        self.config = PoolConfig(
            name=name, policy=ScalingPolicy(name=policy, max_workers=9, burst_threshold=5), weight=weight
        )
        self.workers: dict[int, WorkerState] = {}
        self.generations: dict[int, int] = {}
        self.ready = 0
        self.oldest = 0.0
        self.hidden = self.unsure = self.slow = False
        self.coming: set[str] = set()
        """Started, not answered for, and not there yet."""

    def observed(self) -> PoolObserved:
        views = tuple(
            worker(slot, state, self.generations[slot], self.config.name) for slot, state in self.workers.items()
        )
        busy = sum(state in {BUSY, DRAINING} for state in self.workers.values())
        seen = observed(
            ready=self.ready,
            leases=busy,
            queue_total=unknown("The broker is away.") if self.unsure else known(self.ready + busy),
            policy=self.config.policy,
            workers=None if self.hidden else views,
            oldest=self.oldest if self.ready else None,
            generations=self.generations,
            job_seconds=60,
        )
        return seen.model_copy(update={"pool": self.config.name})

    def carry_out(self, plan: Plan) -> None:
        self.coming |= set(plan.start)
        if not self.slow:
            self.arrive(plan.start)
        for name in plan.drain:
            place = slot_of(self.config.name, name)
            assert place is not None
            assert self.workers[place[0]] in {IDLE, BUSY}
            self.workers[place[0]] = DRAINING

    def arrive(self, names: Iterable[str]) -> None:
        """What was started comes into being."""
        for name in names:
            place = slot_of(self.config.name, name)
            assert place is not None
            assert place[0] not in self.workers
            self.workers[place[0]], self.generations[place[0]] = PENDING, place[1]
        self.coming -= set(names)

    def work(self) -> None:
        """Who was asked to leave has left; the others join, end their job and take the next one."""
        for slot, state in list(self.workers.items()):
            if state is DRAINING:
                del self.workers[slot]
            elif self.ready:
                self.workers[slot] = BUSY
                self.ready -= 1
            else:
                self.workers[slot] = IDLE


class Yard:
    """A farm of several pools."""

    def __init__(self, most: int, policies: tuple[PolicyName, ...], weights: tuple[float, ...]) -> None:
        made = [Pool(*pool) for pool in zip(NAMES, policies, weights, strict=False)]
        self.most = most
        self.pools = {pool.config.name: pool for pool in made}
        self.places = Places([pool.config for pool in made], most)
        self.codes: Counter[DecisionCode] = Counter()
        self.now = 0.0

    def tick(self, name: str, *, replayed: bool = True) -> Plan:
        pool = self.pools[name]
        self.now += 1.0
        seen = pool.observed()
        seen = seen.model_copy(update={"farm": self.places.around(seen, self.now)})
        plan = decide(seen)
        self.places.note(seen, plan, now=self.now)
        if plan.code is DecisionCode.GIVES_WAY:
            self.check_giving_way(pool, plan, seen)
        pool.carry_out(plan)
        for late in pool.coming:
            if late in plan.start:
                self.places.doubt(name, late, self.now)
        if replayed:
            assert decide(PoolObserved.model_validate_json(seen.encode())) == plan
        self.codes[plan.code] += 1
        return plan

    def check_giving_way(self, pool: Pool, plan: Plan, seen: PoolObserved) -> None:
        """Only to a pool that starves, only beyond the own share, only on trusted counts."""
        assert seen.farm is not None
        leaving = sum(state is DRAINING for state in pool.workers.values())
        left = room(seen.farm, pool.config.name, len(pool.workers), wanted(seen), leaving)
        assert any(other.starving for other in seen.farm.others)
        assert 0 < len(plan.drain) <= left.missing
        assert len(pool.workers) - leaving - len(plan.drain) >= left.share >= 1
        assert not pool.unsure

    @property
    def held(self) -> dict[str, int]:
        return {name: len(pool.workers) for name, pool in self.pools.items()}


steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([*["tick"] * 4, "work", "many", "one", "old", "hide", "show", "doubt", "end", "slow", "come"]),
    ),
    max_size=60,
)
policies = st.tuples(*[st.sampled_from(["burst", "elastic"])] * 3)
weights = st.tuples(*[st.sampled_from([0.5, 1, 1, 3])] * 3)


@settings(max_examples=150, deadline=None)
@given(st.integers(3, 14), policies, weights, steps)
def test_never_above_the_maximum_whatever_the_order_of_ticks(
    most: int, of: tuple[PolicyName, ...], weight: tuple[float, ...], order: list[tuple[str, str]]
) -> None:
    yard = Yard(most, of, weight)

    for name, step in order:
        pool = yard.pools[name]
        match step:
            case "tick":
                yard.tick(name)
            case "work":
                pool.work()
            case "many" | "one":
                pool.ready += 20 if step == "many" else 1
            case "old":
                pool.oldest = 60.0
            case "hide" | "show":
                pool.hidden = step == "hide"
            case "doubt":
                pool.unsure = not pool.unsure
            case "end":
                pool.workers.clear()
            case "slow":
                pool.slow = not pool.slow
            case "come":  # in time: no start takes longer than the doubt about it
                pool.arrive(sorted(pool.coming))
        assert sum(yard.held.values()) <= most


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 20), policies, weights, st.integers(0, 2**32))
def test_whoever_came_first_every_pool_comes_to_its_fair_share(
    most: int, of: tuple[PolicyName, ...], weight: tuple[float, ...], seed: int
) -> None:
    yard, order = Yard(most, of, weight), random.Random(seed)
    first = order.choice(NAMES)
    for _ in range(8):
        yard.pools[first].ready = 100
        for name in NAMES:
            yard.tick(name)
        yard.pools[first].work()
    crowded = len(yard.pools[first].workers)
    assert crowded == min(9, most)

    for _ in range(40):
        for name in order.sample(NAMES, 3):
            yard.pools[name].ready, yard.pools[name].oldest = 100, 60.0
            yard.tick(name, replayed=False)
            assert sum(yard.held.values()) <= most
        for pool in yard.pools.values():
            pool.work()

    shares = fair_shares(most, dict(zip(NAMES, (Demand(9, one) for one in weight), strict=True)))
    assert yard.held == shares
    assert crowded <= shares[first] or yard.codes[DecisionCode.GIVES_WAY]


def two(most: int = 8) -> Yard:
    """Linux has all the places and work for more; docker is about to come."""
    yard = Yard(most, ("burst", "burst"), (1, 1))
    for _ in range(4):
        yard.pools["linux"].ready = 50
        yard.tick("docker")
        yard.tick("linux")
        yard.pools["linux"].work()
    assert yard.held == {"docker": 0, "linux": most}
    return yard


def test_without_a_free_place_the_reason_counts_the_workers_of_all_pools() -> None:
    yard = two()
    yard.pools["docker"].ready = 2

    plan = yard.tick("docker")

    assert plan.code is DecisionCode.FARM_AT_MAXIMUM
    assert plan.reason.endswith("but 8 of the 8 places of all pools are taken.")
    assert plan.clamps == ("max_workers of the farm 8 - taken by all pools 8 = 0",)


def test_a_pool_that_starves_gets_the_places_of_workers_that_are_asked_to_leave_not_of_killed_ones() -> None:
    yard = two()
    docker, linux = yard.pools["docker"], yard.pools["linux"]
    docker.ready = 2
    yard.tick("docker")
    assert not yard.tick("linux").drain, "it has not waited for long"

    docker.oldest = 31.0
    yard.tick("docker")
    plan = yard.tick("linux")

    assert (plan.code, plan.drain) == (DecisionCode.GIVES_WAY, ("linux-8-1",))
    assert plan.formula == "min(missing there 1, present 8 - leaving 0 - share 7) = 1"
    assert linux.workers[8] is DRAINING
    assert yard.tick("linux").code is not DecisionCode.GIVES_WAY, "one is on its way out already"
    linux.work()
    yard.tick("linux")
    assert yard.tick("docker").start == ("docker-1-1",)


def test_those_that_idle_give_way_first() -> None:
    yard = two()
    yard.pools["linux"].workers[3] = IDLE
    yard.pools["docker"].ready, yard.pools["docker"].oldest = 1, 31.0
    yard.tick("docker")

    assert yard.tick("linux").drain == ("linux-3-1",)


def test_a_free_place_that_is_another_pools_share_is_left_to_it() -> None:
    yard = Yard(4, ("burst", "burst"), (1, 1))
    linux, docker = yard.pools["linux"], yard.pools["docker"]
    linux.workers, linux.generations = {1: BUSY, 2: BUSY}, {1: 1, 2: 1}
    linux.ready = docker.ready = 50
    docker.hidden = True
    empty = docker.observed().model_copy(update={"workers": ()})
    yard.places.note(empty, Plan(code=DecisionCode.BURST, reason=""), now=0)

    plan = yard.tick("linux")

    assert (plan.code, plan.start) == (DecisionCode.FAIR_SHARE, ())
    assert "its fair share of 2 of 4 workers, and the 2 free places are due to other pools" in plan.reason
    docker.hidden = False
    plan = yard.tick("docker")
    assert (plan.start, plan.clamps) == (
        ("docker-1-1", "docker-2-1"),
        ("min(share 2 of 4 - present 0, free in the farm 2) = 2",),
    )


@pytest.mark.parametrize("doubt", ["unsure", "hidden"])
def test_in_doubt_nobody_gives_way(doubt: str) -> None:
    yard = two()
    yard.pools["docker"].ready, yard.pools["docker"].oldest = 1, 31.0
    yard.tick("docker")

    setattr(yard.pools["linux"], doubt, True)

    assert yard.tick("linux").drain == ()


def test_a_pool_that_cannot_be_seen_keeps_the_places_that_it_had() -> None:
    yard = two()
    yard.pools["linux"].hidden = True
    yard.tick("linux")
    yard.pools["docker"].ready = 1

    assert yard.tick("docker").code is DecisionCode.FARM_AT_MAXIMUM


def test_a_pool_that_was_never_seen_counts_with_its_maximum_and_the_reason_says_so() -> None:
    yard = Yard(9, ("burst", "burst"), (1, 1))
    yard.pools["linux"].ready = 1

    plan = yard.tick("linux")

    assert plan.code is DecisionCode.FARM_AT_MAXIMUM
    assert "(the workers of docker were not seen yet, so all that it may have count)" in plan.reason
    yard.tick("docker")
    assert yard.tick("linux").start == ("linux-1-1",)
    yard.places.forget()
    linux = yard.pools["linux"].observed()
    assert yard.places.around(linux, 0) == Yard(9, ("burst", "burst"), (1, 1)).places.around(linux, 0)


def test_without_a_maximum_of_the_farm_pools_do_not_see_each_other() -> None:
    pool = Pool("linux", "burst", 1)
    assert Places([pool.config]).around(pool.observed(), 0) is None


def test_a_start_that_nobody_answered_for_holds_its_place_until_it_is_seen_or_cannot_come_any_more() -> None:
    yard = Yard(1, ("burst", "burst"), (1, 1))
    docker, linux = yard.pools["docker"], yard.pools["linux"]
    yard.tick("linux")
    docker.ready, docker.slow = 1, True
    assert yard.tick("docker").start == ("docker-1-1",)
    linux.ready = 1

    assert yard.tick("linux").code is DecisionCode.FARM_AT_MAXIMUM
    assert yard.tick("docker").start == ("docker-1-1",), "the same name is asked for again"
    assert yard.tick("linux").code is DecisionCode.FARM_AT_MAXIMUM
    docker.ready = 0
    yard.tick("docker")
    assert yard.tick("linux").code is DecisionCode.FARM_AT_MAXIMUM, "it may come, wanted or not"

    yard.now += DOUBT_SECONDS
    yard.tick("docker")
    assert yard.tick("linux").start == ("linux-1-1",)


def test_a_pool_keeps_the_place_of_its_own_start_that_may_yet_come() -> None:
    yard = Yard(2, ("burst", "burst"), (1, 1))
    docker, linux = yard.pools["docker"], yard.pools["linux"]
    yard.tick("docker")
    linux.workers, linux.generations, linux.ready, linux.slow = {1: BUSY}, {1: 1}, 9, True
    assert yard.tick("linux").start == ("linux-2-1",)
    linux.workers.clear()

    plan = yard.tick("linux")

    assert plan.start == ("linux-1-2", "linux-2-1"), "both places, one of which the doubted start has"
    linux.coming -= {"linux-1-2"}
    linux.generations, linux.ready = {1: 2}, 1
    yard.tick("linux")
    docker.workers, docker.generations = {1: BUSY}, {1: 1}
    yard.tick("docker")
    plan = yard.tick("linux")
    assert (plan.code, plan.start) == (DecisionCode.FARM_AT_MAXIMUM, ()), "linux-1-3 would be beside linux-2-1"


@given(st.integers(0, 8), st.sets(st.integers(1, 9)), st.sets(st.integers(1, 12)))
def test_what_a_pool_may_start_and_what_may_yet_come_fit_together(
    free: int, taken: set[int], doubted: set[int]
) -> None:
    slots = [slot for slot in range(1, len(taken) + free + 1) if slot not in taken]
    doubted -= taken

    kept = doubted_places(free, slots, doubted)

    assert 0 <= kept <= free
    if kept < free:
        assert len(set(slots[: free - kept]) | doubted) <= free
    if kept:  # and not one more could be started
        assert len(set(slots[: free - kept + 1]) | doubted) > free
    if doubted <= set(slots[: len(doubted)]) and len(doubted) <= free:
        assert kept == 0, "the same names again take no further place"
