"""The scaler, wired by hand: settings -> parts -> loops and API, and how they stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from buildyard.broker import open_broker
from buildyard.client import ProducerClient
from buildyard.clock import SystemClock
from buildyard.connections import KEEP_ALIVE_SECONDS, bounded, connections_allowed
from buildyard.errors import BrokerUnavailable, InvalidSettings
from buildyard.pools_file import load_farm
from buildyard.ports import Broker, Channel, Depth, Subscription, Uncounted
from buildyard.settings import Settings
from buildyard.telemetry import logger
from scaler.api import create_app
from scaler.browser import Dashboard, child_command, child_environment, missing
from scaler.executors import Executor
from scaler.executors.checking import check_all
from scaler.executors.opening import open_executors
from scaler.explaining import Explainer
from scaler.leading import Alone, Leadership, open_leadership
from scaler.loop import Parts, PoolLoop
from scaler.marking import IdleMarks
from scaler.places import Places
from scaler.record import DecisionRecord
from scaler.status import ScalerStatus

_LAST_TICK_SECONDS = 8.0
_STREAM_END_SECONDS = 2
_HAND_BACK_SECONDS = 5.0
"""Beyond its grace a worker still reports what it hands back."""
FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 5.0
_BACKLOG = 128
_MOST_TYPED_BYTES = 64 << 10
"""Of one message of a visitor's dashboard."""

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
    executors: Sequence[Executor]
    """Each once; pools of one platform share one."""
    record: DecisionRecord
    loops: Sequence[PoolLoop]
    places: Places
    leadership: Leadership
    status: ScalerStatus
    api: FastAPI
    dashboard: Dashboard | None
    """For browsers; None where what it needs is not installed."""

    def forget(self) -> None:
        """Drop what was learned while this process led before: since then another one may have acted."""
        self.places.forget()
        for executor in self.executors:
            executor.forget()
        for loop in self.loops:
            loop.forget()

    async def close(self) -> None:
        """Let go of everything; workers stay."""
        if self.dashboard is not None:
            await self.dashboard.aclose()
        self.leadership.resign()
        self.record.close()
        await self.producer.aclose()
        await self.broker.close()
        for executor in self.executors:
            await executor.aclose()
        await self.leadership.aclose()


def build_scaler(settings: Settings, environment: Mapping[str, str], leadership: Leadership | None = None) -> Scaler:
    """Make all parts from the settings; `environment` is what local workers inherit beside them.

    Raises:
        InvalidSettings: a URL, the pools file or the data folder is wrong.
    """
    clock, leadership = SystemClock(), leadership or Alone()
    farm = load_farm(settings)
    broker = open_broker(settings.broker, settings.broker_management_url)
    late_broker = LateBroker(broker)
    producer = ProducerClient(settings.api, settings.token)
    of_pools = open_executors(farm.pools, settings, environment, clock)
    executors = tuple(dict.fromkeys(of_pools.values()))
    record = DecisionRecord(settings.data_dir / "decisions", settings.decisions_max_bytes, settings.decisions_keep_days)
    places = Places(farm.pools, farm.max_workers)
    parts = {
        executor: Parts(producer, late_broker, executor, record, clock, places, IdleMarks(executor))
        for executor in executors
    }
    loops = [PoolLoop(pool, parts[of_pools[pool.name]], settings.tick_seconds) for pool in farm.pools]
    status = ScalerStatus(loops, executors, clock, leadership)
    explainer = Explainer(record, {loop.config.name: loop for loop in loops}, producer, clock)
    dashboard = None if missing() else Dashboard(child_command(), child_environment(settings, environment))
    api = create_app(status, explainer, settings, clock, dashboard)
    return Scaler(broker, late_broker, producer, executors, record, loops, places, leadership, status, api, dashboard)


async def serve(settings: Settings, environment: Mapping[str, str], *, stop_workers: bool) -> None:
    """Run a scaler until SIGTERM or SIGINT. It decides while it leads, and stands by while another one does.

    Then it decides no more. Workers go on, and the next scaler finds them; with `stop_workers` they are asked to
    stop, and waited for as long as their grace allows.

    Raises:
        InvalidSettings: a setting is wrong, or the port is taken.
    """
    listening = _listen(settings.host, settings.scaler_port)
    try:
        leadership = open_leadership(settings.leader_url, settings.data_dir, _own_name(listening, settings))
        scaler = build_scaler(settings, environment, leadership)
    except BaseException:
        listening.close()
        raise
    try:
        await check_all(scaler.executors)
    except BaseException:
        listening.close()
        await scaler.close()
        raise
    stopping, server = _on_signals(), _server(scaler.api)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="api")
    opening = asyncio.create_task(scaler.late_broker.open_for_ever(), name="open broker")
    leading = asyncio.create_task(_lead(scaler), name="lead")
    _tell_ready(listening)
    try:
        asked = asyncio.create_task(stopping.wait())
        await asyncio.wait({asked, serving, leading}, return_when=asyncio.FIRST_COMPLETED)
        if leading.done():  # it ends by a fault only: a scaler that holds the lead and decides nothing must not stay
            leading.result()
        _log.info("stopping", stop_workers=stop_workers)
        scaler.status.stopping = True
        leading.cancel()
        await asyncio.wait({leading})
        if stop_workers and leadership.leads:
            await _stop_workers(scaler.executors, settings.grace_seconds)
    finally:
        server.should_exit = True
        for task in (opening, leading):
            task.cancel()
        await asyncio.gather(opening, leading, return_exceptions=True)
        await serving
        await scaler.close()


def _on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def _lead(scaler: Scaler) -> None:
    """Decide for as long as this process leads; stand by before and after."""
    while True:
        await scaler.leadership.won()
        scaler.forget()
        await asyncio.to_thread(scaler.record.go_on)
        if scaler.places.bounded:
            await asyncio.gather(*(pool.survey() for pool in scaler.loops))
        _log.info("leads", pools=[pool.config.name for pool in scaler.loops])
        deciding = [asyncio.create_task(pool.run(), name=f"decide {pool.config.name}") for pool in scaler.loops]
        try:
            await scaler.leadership.lost()
            _log.warning("leads no more", leader=scaler.leadership.leader())
        finally:
            await _stop_deciding(scaler, deciding)


async def _stop_deciding(scaler: Scaler, deciding: Sequence[asyncio.Task[None]]) -> None:
    """Let the ticks at hand end, so that what they started is recorded."""
    for pool in scaler.loops:
        pool.stop()
    await asyncio.wait(deciding, timeout=_LAST_TICK_SECONDS)
    for task in deciding:
        task.cancel()
    await asyncio.gather(*deciding, return_exceptions=True)


async def _stop_workers(executors: Iterable[Executor], grace_seconds: float) -> None:
    asked = (executor.stop(grace_seconds + _HAND_BACK_SECONDS) for executor in executors)
    answers = await asyncio.gather(*asked, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            _log.warning("not all workers could be asked to stop", cause=str(answer))
    running = [name for answer in answers if not isinstance(answer, BaseException) for name in answer]
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
            ws="none" if missing() else "websockets-sansio",
            ws_max_size=_MOST_TYPED_BYTES,
            timeout_graceful_shutdown=_STREAM_END_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            http=bounded(connections_allowed()),
        )
    )


def _own_name(listening: socket.socket, settings: Settings) -> str:
    url = _url(listening, settings.advertise_address)
    return f"{url} (process {os.getpid()} on {socket.gethostname()})"


def _url(listening: socket.socket, address: str = "") -> str:
    host, port = listening.getsockname()[:2]
    host = address or host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell_ready(listening: socket.socket) -> None:
    url = _url(listening)
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
