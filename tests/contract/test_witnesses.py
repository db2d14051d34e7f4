"""What every broker tells of all its sources: its own count first, and never a number that it does not know."""

from __future__ import annotations

import pytest

from buildyard.errors import UnknownCount
from buildyard.ports import Depth, jobs
from tests.contract.rigs import Rig, take_one

WORK = jobs("linux")


async def test_the_brokers_own_count_comes_first_and_alone_where_there_is_no_other(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.publish(WORK, [b"a", b"b", b"c"])
    await take_one(await broker.subscribe(WORK))

    (counted,) = await broker.witnesses(WORK)

    assert isinstance(counted, Depth)
    assert (counted.ready, counted.sampled, counted.age_seconds, counted.slow_zero) == (2, False, 0, False)
    assert (counted.unacked, counted.total) == ((1, 3) if rig.kind == "sqlite" else (None, None))


async def test_a_missing_channel_has_no_witnesses(rig: Rig) -> None:
    broker = await rig.open()
    with pytest.raises(UnknownCount):
        await broker.witnesses(jobs("nowhere"))


async def test_a_closed_broker_bears_no_witness(rig: Rig) -> None:
    broker = await rig.open()
    await broker.declare(WORK)
    await broker.close()
    with pytest.raises(UnknownCount):
        await broker.witnesses(WORK)
