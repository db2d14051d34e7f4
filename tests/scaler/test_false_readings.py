"""A thousand false readings while a worker that looks idle has just taken a ticket: nobody is ever asked to leave.

The statistics come over HTTP from a server that answers as RabbitMQ's management API does, well and badly; what broker
and producer say is said by fakes. The last test takes the guard out: the same readings then drain the busy worker.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from buildyard.broker import rabbitmq_management
from buildyard.broker.rabbitmq_management import Management
from buildyard.contracts.agents import AgentState
from buildyard.contracts.api import PoolList
from buildyard.contracts.scaling import Decision, DecisionCode, PoolConfig, PoolObserved, Reading, Trust
from buildyard.errors import BrokerUnavailable, BuildyardError, ProducerUnavailable, UnknownCount
from buildyard.ports import Channel, Depth, Uncounted
from scaler import loop as loop_module
from scaler.readings import Seen, observe
from tests.contract.http_stub import Answer, HttpStub, http_stub, reply
from tests.contract.test_rabbitmq_management import FAULTS, QUEUE_PATH
from tests.contract.test_rabbitmq_statistics import QUEUE
from tests.scaler.fakes import START, FakeBroker
from tests.scaler.test_loop import Farm

FALSE_READINGS = 1_000
EMPTY = QUEUE | {"messages": 0, "messages_ready": 0, "messages_unacknowledged": 0}
HELD = {"messages": 1, "messages_unacknowledged": 1}
"""What the statistics truly are from the moment at which the worker has its ticket."""
WORKER = "linux-1-1"


class CountedBroker(FakeBroker):
    """Its own count is said by the test, its statistics are asked over HTTP."""

    def __init__(self, management: Management) -> None:
        super().__init__()
        self.unacked = None
        self._management = management

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        own = await super().witnesses(channel)
        return (*own, *await self._management.ask(channel.name))


class LyingFarm(Farm):
    """A farm whose worker has been idle for long, when it takes a ticket and one source begins to lie."""

    def __init__(self, folder: Path, stub: HttpStub, management: Management) -> None:
        super().__init__(folder)
        self.stub = stub
        self.broker = CountedBroker(management)
        parts = loop_module.Parts(self.producer, self.broker, self.executor, self.record, self.clock)
        self.loop = loop_module.PoolLoop(PoolConfig(name="linux", policy=self.loop.config.policy), parts, 3600)
        self._pools = self.producer.pools
        self._ticks = 0

    def mend(self, **truth: object) -> None:
        """Let every source tell the truth."""
        self.broker.took, self.broker.trouble, self.broker.ready, self.broker.unacked = 0.0, None, 0, None
        self.producer.trouble, self.producer.leases = None, 0
        self.producer.pools = self._pools  # type: ignore[method-assign] # a lie may have stood here
        self.counts(**truth)

    def counts(self, **change: object) -> None:
        """Answer with statistics of a new tick."""
        self._ticks += 1
        self.stub.answers[QUEUE_PATH] = reply(json.dumps(EMPTY | {"reductions": self._ticks} | change).encode())

    def answers(self, answer: Answer) -> None:
        """Answer with something else."""
        self.stub.answers[QUEUE_PATH] = answer

    def no_such_pool(self) -> None:
        async def pools() -> PoolList:
            return PoolList(pools=(), at=START)

        self.producer.pools = pools  # type: ignore[method-assign] # that is the lie

    def lease_without_ticket(self) -> None:
        """The claim is made already, and the broker says that nobody holds a ticket."""
        self.producer.leases, self.broker.unacked = 1, 0
        self.counts()

    async def calm(self, dice: random.Random) -> None:
        """All is honest and quiet, for less than the time after which idle workers go."""
        for _ in range(1 + dice.randrange(2)):
            self.mend()
            await self.tick(dice.uniform(0.1, 14))

    async def lied_to(self, lie: Callable[[LyingFarm], None], seconds: float) -> Decision:
        """The tick in which the worker has just taken its ticket, and somebody lies."""
        self.mend(**HELD)
        lie(self)
        return await self.tick(seconds)


def says(error: BuildyardError) -> Callable[[LyingFarm], None]:
    def lie(farm: LyingFarm) -> None:
        farm.broker.trouble = error

    return lie


def producer_says(error: BuildyardError) -> Callable[[LyingFarm], None]:
    def lie(farm: LyingFarm) -> None:
        farm.producer.trouble = error

    return lie


def declares(**values: Any) -> Callable[[LyingFarm], None]:
    def lie(farm: LyingFarm) -> None:
        for name, value in values.items():
            setattr(farm.broker, name, value)
        farm.counts()  # statistics that lag: they do not know of the ticket yet

    return lie


def counts(**change: object) -> Callable[[LyingFarm], None]:
    return lambda farm: farm.counts(**change)


def _answers(answer: Answer) -> Callable[[LyingFarm], None]:
    return lambda farm: farm.answers(answer)


LIES_OF_THE_BROKER: dict[str, tuple[Callable[[LyingFarm], None], str]] = {
    "refused": (says(BrokerUnavailable("RabbitMQ failed while connecting: Connection refused.")), "Connection refused"),
    "timeout": (says(BrokerUnavailable("RabbitMQ did not answer within 3 s while counting.")), "within 3 s"),
    "no such queue": (says(UnknownCount("jobs.linux cannot be counted: there is no such queue.")), "no such queue"),
    "no number": (says(UnknownCount("jobs.linux cannot be counted: the answer holds no number.")), "no number"),
    "slow leader": (declares(took=0.25), "leader may be missing"),
    "negative": (declares(ready=-1), "negative count"),
    "no leader": (counts(leader=None), "has no leader, says rabbitmq management"),
    "leader offline": (counts(online=["rabbit@two"]), "has no leader, says rabbitmq management"),
    "queue down": (counts(state="down"), "state is missing or not running"),
    "total below its parts": (counts(messages_ready=2, messages=1), "total is less than its parts"),
    "statistics of before a restart": (counts(messages_ready=None), "messages_ready is"),
    "total missing": (counts(messages=None), "messages is"),
    **{
        f"statistics: {name}": (_answers(answer), cause)
        for name, (answer, cause) in FAULTS.items()
        if name not in {"too long", "in drops", "never"}
    },
}
LIES_OF_THE_PRODUCER: dict[str, tuple[Callable[[LyingFarm], None], str]] = {
    "refused": (producer_says(ProducerUnavailable("The producer cannot be reached: refused.")), "cannot be reached"),
    "timeout": (producer_says(ProducerUnavailable("The producer did not answer within 3 s.")), "within 3 s"),
    "500": (producer_says(ProducerUnavailable("The producer answered with status 500.")), "status 500"),
    "404": (LyingFarm.no_such_pool, "no pool linux"),
    "zero while a lease lives": (LyingFarm.lease_without_ticket, "The broker says 0, but the producer counts 1"),
}
LIES = {
    **{f"broker: {name}": lie for name, lie in LIES_OF_THE_BROKER.items()},
    **{f"producer: {name}": lie for name, lie in LIES_OF_THE_PRODUCER.items()},
}


@pytest.fixture
async def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LyingFarm]:
    monkeypatch.setattr(rabbitmq_management, "SPACING_SECONDS", 0.0)
    monkeypatch.setattr(rabbitmq_management, "DEADLINE_SECONDS", 60.0)  # no lie here is lateness; machines stall
    async with http_stub() as stub:
        management = Management(f"http://guest:guest@127.0.0.1:{stub.port}", "/")
        made = LyingFarm(tmp_path, stub, management)
        for _ in range(3):  # the age of statistics is known from their second tick on
            made.mend()
            await made.tick(20)
        await made.staffed(AgentState.IDLE)
        yield made
        made.record.close()
        await management.close()


async def test_a_thousand_false_readings_are_each_unknown_in_their_tick_and_scale_nothing_down(farm: LyingFarm) -> None:
    dice = random.Random(11)
    names = [name for name in LIES for _ in range(FALSE_READINGS // len(LIES) + 1)]
    dice.shuffle(names)
    for name in names:
        lie, cause = LIES[name]
        await farm.calm(dice)
        decision = await farm.lied_to(lie, dice.uniform(0.1, 90))

        readings = _readings(decision.observed)
        doubted = [reading for reading in readings if reading.trust is Trust.UNKNOWN]
        assert any(cause in reading.cause for reading in doubted), (name, readings)
        assert all(reading.value is None and reading.cause for reading in doubted), name
        assert decision.observed.quiet_seconds == 0, name
        if decision.observed.leases.value != 1:
            assert decision.plan.code is DecisionCode.UNKNOWN_COUNT, name
            assert "cannot be trusted" in decision.plan.reason or "is unknown" in decision.plan.reason, name

    assert len(names) >= FALSE_READINGS
    assert farm.producer.drained == []


async def test_without_the_guard_every_lie_of_the_broker_drains_the_worker_that_has_a_ticket(
    farm: LyingFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a missing count read as 0; without its producer's registry a worker does not look idle, which saves it."""
    monkeypatch.setattr(loop_module, "observe", _trusting)
    drained = set()
    farm.mend(**HELD)
    assert (await farm.tick(60)).plan.drain == (), "the truth drains nobody even so"
    for name, (lie, _) in LIES.items():
        farm.mend()
        await farm.tick(20)
        farm.producer.registry[WORKER] = AgentState.IDLE
        if (await farm.lied_to(lie, 60)).plan.drain:
            drained.add(name)

    assert drained == {*(f"broker: {name}" for name in LIES_OF_THE_BROKER), "producer: 404"}
    assert {name for name, _ in farm.producer.drained} == {WORKER}


async def test_an_early_acknowledgement_makes_the_lease_the_only_witness_of_a_busy_worker(farm: LyingFarm) -> None:
    """A worker that acknowledged before its work was confirmed: the broker counts nothing in hand, truly."""
    farm.mend()
    farm.lease_without_ticket()
    assert (await farm.tick(60)).plan.drain == (), "the lease contradicts the broker"
    assert farm.producer.drained == []

    farm.producer.leases = 0  # that guard out, too; with the ticket in hand this alone drains nobody:
    farm.counts(**HELD)
    assert (await farm.tick(60)).plan.drain == ()

    farm.counts()
    for _ in range(2):
        await farm.tick(60)
    assert {name for name, _ in farm.producer.drained} == {WORKER}


def _readings(observed: PoolObserved) -> tuple[Reading, ...]:
    return observed.ready, observed.leases, observed.queue_ready, observed.queue_unacked, observed.queue_total


def _trusting(config: PoolConfig, seen: Seen) -> PoolObserved:
    """The trusted zero taken out: what is not known is 0, and everything is believed."""
    found = observe(config, seen)
    return found.model_copy(
        update={
            name: Reading(value=reading.value or 0, source=reading.source, trust=Trust.TRUSTED)
            for name, reading in zip(
                ("ready", "leases", "queue_ready", "queue_unacked", "queue_total"), _readings(found), strict=True
            )
        }
    )
