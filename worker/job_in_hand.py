"""The one job an agent works on: its workspace, its time limit, its heartbeats, and what stops it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from buildyard.clock import Clock
from buildyard.contracts.builds import JobSpec
from buildyard.contracts.messages import Heartbeat, JobFinished
from buildyard.ports import Broker, ObjectStore
from buildyard.settings import Settings
from buildyard.telemetry import logger
from worker.attempt import Attempt, Producer, needs_workspace
from worker.capabilities import Tools
from worker.logs import LogWriter
from worker.pipeline import StopCause
from worker.reporting import Reporter
from worker.runner import Runner
from worker.sandbox import build_environment, workspace_of
from worker.stopping import StopSignal

_TICK_SECONDS = 1.0
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


@dataclass(frozen=True)
class Means:
    """What an agent has to work with, the same for all its jobs."""

    name: str
    settings: Settings
    broker: Broker
    objects: ObjectStore
    producer: Producer
    reporter: Reporter
    clock: Clock
    environment: Mapping[str, str]
    tools: Tools
    cores: int


class JobInHand:
    """A claimed job; `run` works it off, `stop` ends it early.

    `asked_at` is when the job was first asked for, in seconds of the clock's monotonic time: its lease is no older.
    """

    def __init__(self, means: Means, spec: JobSpec, heartbeat_seconds: float, asked_at: float) -> None:
        self._means = means
        self._heartbeat_seconds = min(heartbeat_seconds, spec.lease_seconds / 3)
        self._asked_at = asked_at
        self._stop = StopSignal()
        self._log = logger("job")
        self._workspace = workspace_of(means.settings.data_dir, means.name, spec.job_id, spec.attempt)
        self.spec = spec

    def stop(self, cause: StopCause) -> None:
        """End it early; the first cause counts."""
        if not self._stop.stopped():
            self._log.info("stopping the job", job=self.spec.job_id, cause=cause.value)
        self._stop.stop(cause)

    async def run(self) -> JobFinished:
        """Work the job off; its last report is not sent yet."""
        limit = asyncio.get_running_loop().call_later(self.spec.timeout_seconds, self._stop.stop, StopCause.TIMED_OUT)
        beating = asyncio.create_task(self._beat())
        try:
            finished = await Runner(self._attempt()).run()
        finally:
            limit.cancel()
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        self._log.info("job ended", job=self.spec.job_id, outcome=finished.outcome.value, reason=finished.reason)
        return finished

    def _attempt(self) -> Attempt:
        means, spec = self._means, self.spec
        settings = means.settings
        log = LogWriter(
            spec,
            means.name,
            objects=means.objects,
            broker=means.broker,
            reports=means.reporter,
            clock=means.clock,
            stop=self._stop,
        )
        return Attempt(
            spec=spec,
            agent=means.name,
            workspace=self._workspace,
            environment=build_environment(means.environment, self._workspace, settings.data_dir / "cache"),
            tools=means.tools,
            cores=means.cores,
            settings=settings,
            objects=means.objects,
            producer=means.producer,
            reports=means.reporter,
            log=log,
            stop=self._stop,
            clock=means.clock,
        )

    async def _beat(self) -> None:
        """Renew the lease; find out when this process was frozen for longer than the lease, and stop first of all."""
        last = _boot_seconds()
        beaten = last - (self._means.clock.monotonic() - self._asked_at)  # as good as one: the lease began no earlier
        while True:
            now = _boot_seconds()
            if now - last > self.spec.lease_seconds:
                self._log.warning("this process was frozen beyond its lease", seconds=round(now - last))
                self.stop(StopCause.CUT_OFF)
            if now - beaten >= self._heartbeat_seconds:
                self._means.reporter.offer(self._heartbeat())
                beaten = now
            last = now
            await asyncio.sleep(min(_TICK_SECONDS, beaten + self._heartbeat_seconds - now))

    def _heartbeat(self) -> Heartbeat:
        spec = self.spec
        return Heartbeat(
            build_id=spec.build_id,
            job_id=spec.job_id,
            attempt=spec.attempt,
            agent=self._means.name,
            at=self._means.clock.now(),
        )

    async def clear_up(self) -> None:
        """Remove what the job left on the disk."""
        if not needs_workspace(self.spec):
            return
        try:
            await asyncio.to_thread(self._workspace.remove)
        except OSError as error:  # it is tried again when the agent leaves
            self._log.warning("a workspace could not be removed", error=str(error))


def _boot_seconds() -> float:
    """Seconds that go on while the machine sleeps, where the system counts them."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)
