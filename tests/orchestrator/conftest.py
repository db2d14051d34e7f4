"""A store of each kind, and a service on it with its outlets caught."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from buildyard.broker import open_broker
from buildyard.clock import SystemClock
from buildyard.contracts.messages import Order, Ticket
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import NotFound
from buildyard.objects.store import MemoryObjects
from buildyard.ports import DEAD, REPORTS, Broker, ObjectInfo, ObjectStore, doorbell, jobs
from orchestrator.api.farm_events import written_out
from orchestrator.domain.records import Build, Limits
from orchestrator.feed import Feed
from orchestrator.service import Farm, Outlets, Service
from orchestrator.store import Store, open_store
from orchestrator.tail import StoredLine, Tail
from orchestrator.views import Views


class HandClock(SystemClock):
    """The machine's clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Caught:
    """What the service told its outlets."""

    tickets: list[Ticket] = field(default_factory=list)
    controls: list[Order] = field(default_factory=list)
    ended: list[Build] = field(default_factory=list)
    received: list[Build] = field(default_factory=list)


class Uploads(MemoryObjects):
    """An object store in which every upload is found until it is deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.deleted: set[str] = set()

    async def head(self, key: str) -> ObjectInfo:
        if key in self.deleted:
            raise NotFound(f"There is no object {key!r}.")
        return ObjectInfo(key, 3)

    async def delete(self, keys: Sequence[str]) -> None:
        await super().delete(keys)
        self.deleted.update(keys)


@dataclass
class Yard:
    """A service with everything around it."""

    store: Store
    objects: ObjectStore
    service: Service
    views: Views
    feed: Feed
    clock: HandClock
    caught: Caught


POOLS = (
    PoolConfig(name="linux"),
    PoolConfig.model_validate({"name": "mac", "capabilities": {"tools": {"xcode": "15"}}}),
)
LIMITS = Limits(lease_seconds=30, max_attempts=3, cancel_seconds=30, queue_seconds=86_400, no_agent_seconds=600)


def a_tail(store: Store, feed: Feed, *, look_seconds: float = 0.02) -> Tail:
    """What follows all builds' events of a store."""
    return Tail(
        StoredLine(store), feed.stirred, look_seconds=look_seconds, write_out=written_out, stopping=lambda: False
    )


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/store.sqlite"
    url: str = request.getfixturevalue("fresh_postgres")
    return url


@pytest.fixture
async def yard(store_url: str) -> AsyncIterator[Yard]:
    clock, feed, caught = HandClock(), Feed(), Caught()
    store = open_store(store_url, clock)
    await store.migrate()
    farm = Farm(
        pools=POOLS,
        limits=LIMITS,
        max_build_minutes=120,
        upload_keep_hours=24,
        heartbeat_seconds=10,
        git_hosts=("github.com",),
        git_local_roots=(),
        admits_at_once=True,
    )
    outlets = Outlets(
        tickets=caught.tickets.extend,
        controls=caught.controls.extend,
        ended=caught.ended.append,
        received=caught.received.append,
    )
    objects = Uploads()
    service = Service(store, objects, feed, farm, clock, outlets)
    yield Yard(store, objects, service, Views(store, POOLS, timedelta(seconds=30)), feed, clock, caught)
    await store.close()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    broker = open_broker(f"sqlite:///{tmp_path}/broker.sqlite")
    await broker.open()
    for channel in (REPORTS, DEAD, jobs("linux"), doorbell("linux")):
        await broker.declare(channel)
    yield broker
    await broker.close()
