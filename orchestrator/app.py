"""The producer, wired by hand: every part is made here and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI

from buildyard.broker import open_broker
from buildyard.clock import Clock, SteadyClock
from buildyard.connections import KEEP_ALIVE_SECONDS, bounded, connections_allowed
from buildyard.contracts.scaling import PoolConfig
from buildyard.errors import InvalidSettings, TemporaryError
from buildyard.objects import open_objects
from buildyard.pools_file import load_pools
from buildyard.ports import CONTROL, DEAD, LOGS, REPORTS, Broker, ObjectStore, doorbell, jobs
from buildyard.settings import Settings
from buildyard.telemetry import logger
from orchestrator.admission import Admission
from orchestrator.api import create_app, farm_events
from orchestrator.api.gate import Gate
from orchestrator.api.metrics import Metrics
from orchestrator.api.parts import ApiParts, ProcessState
from orchestrator.domain.records import Build, Limits
from orchestrator.domain.retention import Keep
from orchestrator.feed import Feed
from orchestrator.hearing import Hearing, HearingParts
from orchestrator.relay import Relay, jittered
from orchestrator.reports import Reports
from orchestrator.retiring import DeadKeep, Retiring, RetiringParts
from orchestrator.scan import open_scanner
from orchestrator.service import Farm, Outlets, Service
from orchestrator.service.core import silence
from orchestrator.store import Store, open_store
from orchestrator.sweep import Sweeper, SweepParts
from orchestrator.tail import StoredLine, Tail
from orchestrator.upkeep import Upkeep
from orchestrator.views import Views

_log = logger("app")
_LONGEST_PAUSE = 5.0
_CANCEL_AGAIN_SECONDS = 1.0
_SWEEPS_A_ROUND = 10
"""How much less often the producer looks for what is old than for work left alone."""
_LOOK_SECONDS_SHARED = 0.1
"""How often a reader of all builds' events looks for those of other producers on the same store."""
_LOOK_SECONDS = 1.0


@dataclass
class Life:
    """Where the process stands in its life."""

    state: ProcessState = "starting"


@dataclass
class Producer:
    """The parts of one producer process that run."""

    store: Store
    broker: Broker
    relay: Relay
    reports: Reports
    sweeper: Sweeper
    admission: Admission
    retiring: Retiring
    api: FastAPI
    pools: tuple[str, ...]
    life: Life
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Wait for the servers, for ever and saying why; then begin to work."""
        await _until_reached("store", self.store.migrate)
        await _until_reached("broker", self.broker.open)
        await _until_reached("broker", self._declare)
        for loop in (
            self.relay.run,
            self.reports.run,
            self.reports.run_logs,
            self.sweeper.run,
            self.admission.run,
            self.retiring.run,
        ):
            self.tasks.append(asyncio.create_task(_for_ever(loop)))
        self.life.state = "ok"

    async def stop(self) -> None:
        """Stop working: what is durable stays, what is in hand goes back."""
        self.life.state = "stopping"
        with contextlib.suppress(TemporaryError, TimeoutError):
            async with asyncio.timeout(3):
                await self.relay.finish()
        await _ended(self.tasks)
        await self.broker.close()
        with contextlib.suppress(TemporaryError, TimeoutError):
            async with asyncio.timeout(3):
                await self.sweeper.leave()
        await self.store.close()

    async def _declare(self) -> None:
        for channel in (REPORTS, LOGS, CONTROL, DEAD):
            await self.broker.declare(channel)
        for pool in self.pools:
            await self.broker.declare(jobs(pool))
            await self.broker.declare(doorbell(pool))


def build_producer(settings: Settings) -> Producer:
    """Make all parts from the settings.

    Raises:
        InvalidSettings: a URL or the pools file is wrong.
    """
    clock = SteadyClock()
    pools = load_pools(settings)
    store, broker, objects = (
        open_store(settings.store, clock),
        open_broker(settings.broker, settings.broker_management_url),
        open_objects(settings.objects),
    )
    scanner = open_scanner(settings.scan_url)
    feed, metrics, relay = Feed(), Metrics(), Relay(store, broker)
    received: asyncio.Queue[Build] = asyncio.Queue()
    outlets = Outlets(
        tickets=relay.offer,
        controls=relay.hint,
        ended=_observer(metrics),
        received=received.put_nowait,
        refused=metrics.report_refused,
        cut=metrics.lease_cut,
    )
    service = Service(store, objects, feed, _farm(settings, pools, admits_at_once=scanner.instant), clock, outlets)
    reports = Reports(broker, service, feed)
    views = Views(store, pools, silence(settings.heartbeat_seconds))
    upkeep = Upkeep(store, objects, _keep(settings))
    life = Life()
    tail = Tail(
        StoredLine(store),
        feed.stirred,
        look_seconds=_LOOK_SECONDS_SHARED if store.shared else _LOOK_SECONDS,
        write_out=farm_events.written_out,
        stopping=lambda: life.state == "stopping",
    )
    return Producer(
        store=store,
        broker=broker,
        relay=relay,
        reports=reports,
        sweeper=Sweeper(_sweep_parts(settings, pools, store, service, broker, upkeep, relay, reports, clock)),
        admission=Admission(store, objects, scanner, service, received),
        retiring=Retiring(_retiring_parts(settings, pools, store, service, upkeep, broker, clock, metrics)),
        api=create_app(_api_parts(settings, service, views, feed, objects, broker, clock, metrics, life, tail)),
        pools=tuple(pool.name for pool in pools),
        life=life,
    )


def _api_parts(
    settings: Settings,
    service: Service,
    views: Views,
    feed: Feed,
    objects: ObjectStore,
    broker: Broker,
    clock: Clock,
    metrics: Metrics,
    life: Life,
    tail: Tail,
) -> ApiParts:
    gate = Gate(settings, views, clock)
    return ApiParts(service, views, feed, objects, broker, settings, clock, metrics, lambda: life.state, gate, tail)


def _limits(settings: Settings) -> Limits:
    return Limits(
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
        cancel_seconds=settings.cancel_seconds,
        queue_seconds=settings.queue_hours * 3600,
        no_agent_seconds=settings.no_agent_minutes * 60,
    )


def _farm(settings: Settings, pools: tuple[PoolConfig, ...], *, admits_at_once: bool) -> Farm:
    return Farm(
        pools=pools,
        limits=_limits(settings),
        max_build_minutes=settings.max_build_minutes,
        upload_keep_hours=settings.upload_keep_hours,
        heartbeat_seconds=settings.heartbeat_seconds,
        git_hosts=settings.listed("git_hosts"),
        git_local_roots=settings.listed("git_local_roots"),
        admits_at_once=admits_at_once,
    )


def _sweep_parts(
    settings: Settings,
    pools: tuple[PoolConfig, ...],
    store: Store,
    service: Service,
    broker: Broker,
    upkeep: Upkeep,
    relay: Relay,
    reports: Reports,
    clock: SteadyClock,
) -> SweepParts:
    # One that starts anew takes its predecessor's name, whom nobody then waits for; no two that live have the same.
    name = f"{socket.gethostname()}/{settings.host}:{settings.port or os.getpid()}"
    hearing = HearingParts(store, broker, clock, settings.lease_seconds, pools[0].name, reports.recorded, name)
    return SweepParts(
        store=store,
        service=service,
        hearing=Hearing(hearing),
        upkeep=upkeep,
        relay=relay,
        clock=clock,
        limits=_limits(settings),
        pools=tuple(pool.name for pool in pools),
        sweep_seconds=settings.sweep_seconds,
        silence=silence(settings.heartbeat_seconds),
        settle=clock.settle,
    )


def _keep(settings: Settings) -> Keep:
    return Keep(
        unbuilt=timedelta(hours=settings.upload_keep_hours),
        built=timedelta(hours=settings.source_keep_hours),
        builds=timedelta(days=settings.build_keep_days),
        outputs=timedelta(days=settings.output_keep_days),
        newest=timedelta(days=settings.newest_keep_days),
        leftovers=timedelta(hours=settings.leftover_keep_hours),
        orphans=timedelta(hours=settings.orphan_keep_hours),
    )


def _retiring_parts(
    settings: Settings,
    pools: tuple[PoolConfig, ...],
    store: Store,
    service: Service,
    upkeep: Upkeep,
    broker: Broker,
    clock: SteadyClock,
    metrics: Metrics,
) -> RetiringParts:
    return RetiringParts(
        store=store,
        pools=tuple(pool.name for pool in pools),
        service=service,
        upkeep=upkeep,
        broker=broker,
        clock=clock,
        silence=silence(settings.heartbeat_seconds),
        keep=_keep(settings),
        dead=DeadKeep(settings.dead_messages_max, settings.dead_message_keep_days),
        round_seconds=settings.sweep_seconds * _SWEEPS_A_ROUND,
        told=metrics.removed,
    )


async def serve(settings: Settings) -> None:
    """Run a producer until SIGTERM or SIGINT; it listens at once and is ready when its servers are."""
    producer = build_producer(settings)
    listening = _listen(settings.host, settings.port)
    server = uvicorn.Server(
        uvicorn.Config(
            producer.api,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=max(1, int(settings.grace_seconds / 2)),
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            http=bounded(connections_allowed()),
        )
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    serving = asyncio.create_task(server._serve([listening]))  # noqa: SLF001 - serve() would take the signals for itself
    starting = asyncio.create_task(_start(producer, listening))
    await asyncio.wait({asyncio.create_task(stopping.wait()), serving}, return_when=asyncio.FIRST_COMPLETED)
    _log.info("stopping")
    producer.life.state = "stopping"
    server.should_exit = True
    starting.cancel()
    await asyncio.gather(serving, starting, return_exceptions=True)
    await producer.stop()


async def _start(producer: Producer, listening: socket.socket) -> None:
    await producer.start()
    host, port = listening.getsockname()[:2]
    _log.info("ready", url=f"http://{host}:{port}")
    sys.stdout.write(f"ready http://{host}:{port}\n")
    sys.stdout.flush()


def _observer(metrics: Metrics) -> Callable[[Build], None]:
    def observe(build: Build) -> None:
        seconds = (build.ended_at - build.started_at).total_seconds() if build.ended_at and build.started_at else 0.0
        metrics.build_ended(build.state.wire, build.project, seconds)

    return observe


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named; else answers wait 40 ms for a late ACK
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InvalidSettings(
            f"The producer cannot listen on {host}:{port}: {error.strerror}.",
            remedy="Set BUILDYARD_PORT to a free port, or 0.",
        ) from error
    listening.listen(1024)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listening


async def _until_reached(part: str, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    pause = 0.2
    while True:
        try:
            await action()
        except TemporaryError as error:
            _log.warning("waiting", part=part, reason=str(error), retry_in=round(pause, 1))
            await asyncio.sleep(jittered(pause))
            pause = min(_LONGEST_PAUSE, pause * 2)
        else:
            return


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: one whose clean-up fails, on a full disk say, takes that for its end."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)


async def _for_ever(action: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Begin a loop again when a server fails it; a fault of ours is logged and does not end the process."""
    while True:
        try:
            await action()
        except TemporaryError as error:
            _log.warning("begins again", loop=action.__qualname__, reason=str(error))
        except Exception:  # noqa: BLE001 - one broken loop must not take the API down
            _log.exception("begins again", loop=action.__qualname__)
        await asyncio.sleep(jittered(2))
