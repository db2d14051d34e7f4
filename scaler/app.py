"""The scaler, wired by hand: settings -> parts -> loops and API, and how they stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from buildyard.broker import open_broker
from buildyard.client import ProducerClient
from buildyard.clock import SystemClock
from buildyard.connections import KEEP_ALIVE_SECONDS, bounded, connections_allowed
from buildyard.errors import BrokerUnavailable, InvalidSettings
from buildyard.ports import Broker, Channel, Depth, Subscription, Uncounted
from buildyard.settings import Settings, load_pools
from buildyard.telemetry import logger
from scaler.api import create_app
from scaler.executors.process import ProcessExecutor
from scaler.explaining import Explainer
from scaler.loop import Parts, PoolLoop
from scaler.record import DecisionRecord
from scaler.status import ScalerStatus

_LAST_TICK_SECONDS = 8.0
_STREAM_END_SECONDS = 2
_HAND_BACK_SECONDS = 5.0
"""Beyond its grace a worker still reports what it hands back."""
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_BACKLOG = 128
IDLE_EXIT = "BUILDYARD_IDLE_EXIT_SECONDS"
"""By the policy `elastic` workers leave by themselves; every executor tells them when."""

_log = logger("app")


class LateBroker:
    """A broker that opens in the background: until it does, a count fails with why, and the rest waits."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._trouble = "It is not connected yet."
        self._open = asyncio.Event()

    async def open_for_ever(self) -> None:
        """Try until the broker is open; from then on it restores itself."""
        pause = FIRST_PAUSE_SECONDS
        while not self._open.is_set():
            try:
                await self._broker.open()
            except BrokerUnavailable as error:
                if self._trouble != str(error):
                    _log.warning("the broker cannot be reached", cause=str(error))
                self._trouble = str(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                self._open.set()

    async def declare(self, channel: Channel) -> None:
        """Make sure that the channel exists. Raises BrokerUnavailable."""
        await self._open.wait()
        await self._broker.declare(channel)

    async def subscribe(self, channel: Channel, prefetch: int = 1) -> Subscription:
        """Begin to consume. Raises BrokerUnavailable."""
        await self._open.wait()
        return await self._broker.subscribe(channel, prefetch)

    async def witnesses(self, channel: Channel) -> tuple[Depth | Uncounted, ...]:
        """Count a WORK channel by all its sources. Raises BrokerUnavailable and UnknownCount."""
        if not self._open.is_set():
            raise BrokerUnavailable(self._trouble)
        return await self._broker.witnesses(channel)


@dataclass(frozen=True)
class Scaler:
    """The parts of one scaler process."""

    broker: Broker
    late_broker: LateBroker
    producer: ProducerClient
    executor: ProcessExecutor
    record: DecisionRecord
    loops: Sequence[PoolLoop]
    status: ScalerStatus
    api: FastAPI

    async def close(self) -> None:
        """Let go of everything; workers stay."""
        self.record.close()
        await self.producer.aclose()
        await self.broker.close()


def build_scaler(settings: Settings, environment: Mapping[str, str]) -> Scaler:
    """Make all parts from the settings; `environment` is what workers inherit beside them.

    Raises:
        InvalidSettings: a URL, the pools file or the data folder is wrong.
    """
    clock = SystemClock()
    pools = load_pools(settings)
    broker = open_broker(settings.broker, settings.broker_management_url)
    late_broker = LateBroker(broker)
    producer = ProducerClient(settings.api, settings.token)
    idle_exits = {
        pool.name: {IDLE_EXIT: f"{pool.policy.idle_exit:g}"} for pool in pools if pool.policy.name == "elastic"
    }
    executor = ProcessExecutor(settings.data_dir, worker_environment(settings, environment), clock, of_pools=idle_exits)
    record = DecisionRecord(settings.data_dir / "decisions", settings.decisions_max_bytes, settings.decisions_keep_days)
    parts = Parts(producer, late_broker, executor, record, clock)
    loops = [PoolLoop(pool, parts, settings.tick_seconds) for pool in pools]
    status = ScalerStatus(loops, [executor], clock)
    explainer = Explainer(record, {loop.config.name: loop for loop in loops}, producer, clock)
    api = create_app(status, explainer, settings, clock)
    return Scaler(broker, late_broker, producer, executor, record, loops, status, api)


def worker_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of a local worker: what the scaler inherited, and every setting that was given to it.

    All but the credentials of the broker's management API: only who scales asks there.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    given["data_dir"] = settings.data_dir.resolve()
    told = {f"BUILDYARD_{name.upper()}": str(value) for name, value in given.items() if value is not None}
    environment = {**inherited, **told}
    environment.pop("BUILDYARD_BROKER_MANAGEMENT_URL", None)
    return environment


async def serve(settings: Settings, environment: Mapping[str, str], *, stop_workers: bool) -> None:
    """Run a scaler until SIGTERM or SIGINT.

    Then it decides no more. Workers go on, and the next scaler finds them; with `stop_workers` they are asked to
    stop, and waited for as long as their grace allows.

    Raises:
        InvalidSettings: a setting is wrong, or the port is taken.
    """
    listening = _listen(settings.host, settings.scaler_port)
    try:
        scaler = build_scaler(settings, environment)
    except BaseException:
        listening.close()
        raise
    stopping, server = _on_signals(), _server(scaler.api)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="api")
    opening = asyncio.create_task(scaler.late_broker.open_for_ever(), name="open broker")
    deciding = [asyncio.create_task(pool.run(), name=f"decide {pool.config.name}") for pool in scaler.loops]
    _tell_ready(listening)
    try:
        await asyncio.wait({asyncio.create_task(stopping.wait()), serving}, return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping", stop_workers=stop_workers)
        await _stop_deciding(scaler, deciding)
        if stop_workers:
            await _stop_workers(scaler.executor, settings.grace_seconds)
    finally:
        server.should_exit = True
        for task in (opening, *deciding):
            task.cancel()
        await asyncio.gather(opening, *deciding, return_exceptions=True)
        await serving
        await scaler.close()


def _on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def _stop_deciding(scaler: Scaler, deciding: Sequence[asyncio.Task[None]]) -> None:
    """Let the ticks at hand end, so that what they started is recorded."""
    scaler.status.stopping = True
    for pool in scaler.loops:
        pool.stop()
    await asyncio.wait(deciding, timeout=_LAST_TICK_SECONDS)


async def _stop_workers(executor: ProcessExecutor, grace_seconds: float) -> None:
    running = await executor.stop(grace_seconds + _HAND_BACK_SECONDS)
    if running:
        _log.warning("these workers still run and are left alone", workers=running)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: one place decides what a signal means."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


def _server(api: FastAPI) -> _Server:
    return _Server(
        uvicorn.Config(
            api,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_STREAM_END_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            http=bounded(connections_allowed()),
        )
    )


def _tell_ready(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    _log.info("ready", url=url)
    sys.stdout.write(f"ready {url}\n")
    sys.stdout.flush()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named; else answers wait 40 ms for a late ACK
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise InvalidSettings(
            f"The scaler cannot listen on {host}:{port}: {error.strerror}.",
            remedy="Set BUILDYARD_SCALER_PORT to a free port, or 0.",
        ) from error
    listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listening
