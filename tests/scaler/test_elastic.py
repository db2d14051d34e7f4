"""The policy `elastic` in the loop: it learns how long jobs take, and tells its workers when to leave."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.scaling import DecisionCode, PoolConfig, ScalingPolicy
from buildyard.errors import ProducerUnavailable
from buildyard.pools_file import load_pools
from buildyard.settings import load_settings
from scaler.app import build_scaler
from scaler.executors.process import ProcessExecutor
from scaler.executors.worker_settings import IDLE_EXIT
from tests.scaler.test_loop import Farm

POOLS = """
[pools.fixed]
[pools.quick.policy]
name = "elastic"
drain_seconds = 20
idle_exit = 12.5
"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    made = Farm(tmp_path, ScalingPolicy(name="elastic", max_workers=8, drain_seconds=60))
    yield made
    made.record.close()


async def test_while_no_job_has_ended_each_job_gets_a_worker_and_then_as_many_as_drain_in_time(farm: Farm) -> None:
    farm.waiting(4)
    first = await farm.tick()
    farm.producer.job_seconds = 30
    farm.waiting(9)
    farm.executor.workers.clear()
    second = await farm.tick(1)

    assert (len(first.plan.start), first.observed.job_seconds) == (4, None)
    assert (len(second.plan.start), second.observed.job_seconds) == (5, 30)
    assert second.plan.code is DecisionCode.DRAIN_TARGET
    assert "270 s of work are to be done within 60 s" in second.plan.reason


async def test_while_the_producer_is_away_no_duration_is_made_up_and_nobody_is_started(farm: Farm) -> None:
    farm.producer.job_seconds = 7
    farm.waiting(9)
    farm.producer.trouble = ProducerUnavailable("The producer is away.")

    decision = await farm.tick()

    assert (decision.observed.job_seconds, decision.plan.start) == (None, ())
    assert decision.plan.code is DecisionCode.UNKNOWN_COUNT


async def test_the_policy_burst_looks_at_no_durations(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    farm.producer.job_seconds = 7
    decision = await farm.tick()
    farm.record.close()

    assert decision.observed.job_seconds is None


def test_the_policy_is_chosen_by_name_in_the_pools_file(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(POOLS)
    fixed, quick = load_pools(load_settings(pools_file=file))

    assert isinstance(quick, PoolConfig)
    assert (fixed.policy.name, quick.policy.name, quick.policy.drain_seconds) == ("burst", "elastic", 20)


async def test_only_workers_of_an_elastic_pool_are_told_to_leave_when_idle(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(POOLS)
    scaler = build_scaler(load_settings(data_dir=tmp_path, pools_file=file), {})
    await scaler.close()
    (executor,) = scaler.executors
    assert isinstance(executor, ProcessExecutor)
    assert executor._of_pools == {"quick": {IDLE_EXIT: "12.5"}}

    show = (sys.executable, "-c", f"import os; print('told', os.environ.get('{IDLE_EXIT}'), flush=True)")
    environment = {"PATH": os.environ["PATH"], "BUILDYARD_DATA_DIR": str(tmp_path)}
    executor = ProcessExecutor(tmp_path, environment, SystemClock(), show, of_pools={"quick": {IDLE_EXIT: "12.5"}})
    told = {}
    for name in ("fixed-1-1", "quick-1-1"):
        await executor.start(name)
        told[name] = b"".join([piece async for piece in executor.logs(name, follow=True)])
    await executor.stop(5)

    assert told == {"fixed-1-1": b"told None\n", "quick-1-1": b"told 12.5\n"}
