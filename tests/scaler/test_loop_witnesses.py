"""The loop beside sources that lie, lag or fall silent: told within the same tick, and nobody is ever drained by it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import DecisionCode, Trust
from buildyard.errors import UnknownCount
from buildyard.ports import Depth, Uncounted
from tests.scaler.test_loop import Farm
from tests.scaler.test_witnesses import MANAGED, METRICS

BAD_READINGS = 1_000
BAD_FURTHER: tuple[Depth | Uncounted, ...] = (
    replace(MANAGED, has_leader=False),
    replace(MANAGED, age_seconds=15.1),
    replace(MANAGED, unacked=None),
    replace(METRICS, total=None),
    replace(METRICS, total=-1),
    replace(MANAGED, ready=50, total=50),
    replace(MANAGED, total=50),
    replace(MANAGED, unacked=1, total=1),
    Uncounted("rabbitmq management", "It knows no such queue."),
    Uncounted("rabbitmq management", "It did not answer within 1 s."),
    Uncounted("rabbitmq management", "It cannot be reached."),
    Uncounted("rabbitmq management", "Its answer is no JSON."),
    Uncounted("rabbitmq management", "The field messages is missing."),
)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path)
    made.broker.unacked = None
    made.broker.further = (MANAGED, METRICS)
    yield made
    made.record.close()


def spoil(farm: Farm, dice: random.Random) -> None:
    """Make one thing wrong with the next look."""
    kind = dice.randrange(len(BAD_FURTHER) + 3)
    if kind == 0:
        farm.broker.took = dice.uniform(0.2, 3)
    elif kind == 1:
        farm.broker.trouble = UnknownCount("jobs.linux cannot be counted: there is no such queue.")
    elif kind == 2:
        farm.broker.ready = -1
    else:
        farm.broker.further = (MANAGED, BAD_FURTHER[kind - 3])


def mend(farm: Farm) -> None:
    farm.broker.took, farm.broker.trouble, farm.broker.ready = 0.0, None, 0
    farm.broker.further = (MANAGED, METRICS)


async def test_a_thousand_bad_readings_are_each_told_in_their_tick_and_drain_nobody(farm: Farm) -> None:
    dice = random.Random(4)
    await farm.staffed(AgentState.IDLE)
    await farm.tick(20)
    for _ in range(BAD_READINGS):
        for _ in range(dice.randrange(3)):
            await farm.tick(dice.uniform(0.1, 14))
        spoil(farm, dice)
        seen = await farm.tick(dice.uniform(0.1, 60))
        mend(farm)
        assert seen.plan.code is DecisionCode.UNKNOWN_COUNT
        assert seen.observed.quiet_seconds == 0
        counts = (seen.observed.queue_ready, seen.observed.queue_unacked, seen.observed.queue_total)
        doubted = [count for count in counts if count.trust is not Trust.TRUSTED]
        assert doubted
        assert all(count.cause for count in doubted)

    assert farm.producer.drained == []


async def test_with_statistics_the_quiet_begins_when_they_show_the_time_after_the_last_lease(farm: Farm) -> None:
    await farm.staffed(AgentState.BUSY)
    farm.producer.leases = 1
    await farm.tick()
    farm.producer.leases = 0
    farm.producer.registry["linux-1-1"] = AgentState.IDLE

    ended = [await farm.tick() for _ in range(50)]

    unsettled = [seen for seen in ended if seen.plan.code is DecisionCode.UNKNOWN_COUNT]
    assert unsettled == ended[: len(unsettled)]
    assert len(unsettled) == 17  # ten seconds, and the seven that the older statistics lag
    assert all("after the last acknowledgement" in seen.observed.queue_total.cause for seen in unsettled)
    assert [seen.plan.code for seen in ended[17:47]] == [DecisionCode.IDLE_WAIT] * 30
    assert ended[47].plan.code is DecisionCode.SCALE_TO_ZERO
    assert farm.producer.drained[0][0] == "linux-1-1"


async def test_silent_statistics_keep_no_work_from_its_workers(farm: Farm) -> None:
    farm.broker.further = (Uncounted("rabbitmq management", "It cannot be reached."),)
    farm.waiting(1)

    assert (await farm.tick()).plan.start == ("linux-1-1",)
