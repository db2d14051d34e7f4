"""A thousand false readings with workers as Jobs: whatever broker and producer say, no Job and no pod goes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from buildyard.broker import rabbitmq_management
from buildyard.broker.rabbitmq_management import Management
from buildyard.contracts.agents import AgentState
from buildyard.contracts.scaling import PoolConfig, Trust
from scaler import loop as loop_module
from scaler.marking import IdleMarks
from tests.cluster.kubernetes_harness import KubernetesHarness
from tests.cluster.running import Cluster
from tests.contract.http_stub import http_stub
from tests.scaler.test_false_readings import FALSE_READINGS, LIES, WORKER, LyingFarm


@pytest.fixture
async def here(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesHarness]:
    made = KubernetesHarness(cluster, tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def farm(here: KubernetesHarness, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LyingFarm]:
    """The farm of those readings, whose one worker is a Job on the cluster."""
    monkeypatch.setattr(rabbitmq_management, "SPACING_SECONDS", 0.0)
    for module in (rabbitmq_management, loop_module):
        monkeypatch.setattr(module, "DEADLINE_SECONDS", 60.0)  # no lie here is lateness; machines stall
    executor = here.executor()
    async with http_stub() as stub:
        management = Management(f"http://guest:guest@127.0.0.1:{stub.port}", "/")
        made = LyingFarm(here.folder, stub, management)
        parts = (made.producer, made.broker, executor, made.record, made.clock)
        config = PoolConfig(name="linux", policy=made.loop.config.policy)
        made.loop = loop_module.PoolLoop(config, loop_module.Parts(*parts, marks=IdleMarks(executor)), 3600)
        for _ in range(3):  # the age of statistics is known from their second tick on
            made.mend()
            await made.tick(20)
        await executor.start(WORKER)
        await here.until(executor, WORKER, lambda one: one.phase == "Running")
        made.producer.registry[WORKER] = AgentState.IDLE
        made.lease_without_ticket()
        await made.tick(1)  # the quiet time from before the worker ends
        yield made
        made.record.close()
        await management.close()


def pods(here: KubernetesHarness) -> list[tuple[str, str]]:
    """Pods by their identity, and whether they are on their way out."""
    with here.cluster.client() as api:
        items: list[dict[str, Any]] = api.get(f"/api/v1/namespaces/{here.namespace}/pods").json()["items"]
    return [(one["metadata"]["uid"], one["metadata"].get("deletionTimestamp", "")) for one in items]


@pytest.mark.timeout(1200)  # a loaded machine takes minutes
async def test_a_thousand_false_readings_scale_no_job_down(here: KubernetesHarness, farm: LyingFarm) -> None:
    dice = random.Random(12)
    names = [name for name in LIES for _ in range(FALSE_READINGS // len(LIES) + 1)]
    dice.shuffle(names)
    before, saw_the_worker = pods(here), 0
    for name in names:
        lie, cause = LIES[name]
        farm.mend()
        await farm.tick(dice.uniform(0.1, 28))  # quiet, for less than the time after which idle workers go
        decision = await farm.lied_to(lie, dice.uniform(0.1, 90))

        observed = decision.observed
        readings = (observed.ready, observed.leases, observed.queue_ready, observed.queue_unacked, observed.queue_total)
        assert any(one.trust is Trust.UNKNOWN and cause in one.cause for one in readings), (name, readings)
        assert (decision.plan.start, decision.plan.drain) == ((), ()), name
        saw_the_worker += [worker.name for worker in observed.workers or ()] == [WORKER]

    assert len(names) >= FALSE_READINGS
    assert saw_the_worker > FALSE_READINGS / 2, "a stall may hide it now and then"
    assert farm.producer.drained == []
    assert pods(here) == before
    assert [info.name for info in (await here.executors[0].list())] == [WORKER]
