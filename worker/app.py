"""An agent's life: connect, join the pool, work until it is time to leave, leave in good order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from buildyard.contracts.agents import AgentJoined, AgentState
from buildyard.contracts.messages import CONTROL as CONTROL_MESSAGE
from buildyard.contracts.messages import AgentHeartbeat, AgentLeft, AttemptOver, CancelJob, Order, read_message
from buildyard.errors import BrokerUnavailable, BuildyardError, TemporaryError, UnreadableMessage
from buildyard.ports import CONTROL, Channel, Subscription, jobs
from buildyard.telemetry import logger
from worker.capabilities import health
from worker.ending import seconds_to_claim, why_no_more
from worker.job_in_hand import Means
from worker.joining import Identity, Joining
from worker.leaving import Leaving, Urgency
from worker.pipeline import StopCause
from worker.process import TERM_SECONDS, process_exists
from worker.sandbox import AgentFolder
from worker.tickets import TicketDesk

EXIT_UNREACHABLE = 3

_Answer = TypeVar("_Answer")

_LONGEST_PAUSE = 5.0
_FAREWELL_SECONDS = 3.0
_ASKING_SECONDS = 3.0
_LEAST_IDLE_LOOK_SECONDS = 0.05
_REPORTING_SECONDS = 2.0
"""What is left of the grace for the last report, once a stopped child is gone."""


class Agent:
    """One worker process. `run` is its whole life and returns its exit code; `leave` ends it."""

    def __init__(self, identity: Identity, means: Means) -> None:
        self._identity = identity
        self._means = means
        self._leaving = Leaving()
        self._log = logger("agent")
        self._folder = AgentFolder(means.settings.data_dir, identity.name, identity.hostname, identity.pid)
        self._joining = Joining(identity, means, self._leaving)
        self._desk = TicketDesk(identity, means, self._joining, self._leaving)

    def leave(self, urgency: Urgency, reason: str, exit_code: int = 0, *, asked: bool = False) -> None:
        """Have the agent leave; call it from the event loop's thread, as often as there are reasons."""
        self._log.info("leaving", how=urgency.name.lower(), reason=reason)
        self._leaving.decide(urgency, reason, exit_code, asked=asked)

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Connect, join, work, leave. `on_ready` is called when the agent takes tickets.

        Exit codes: 0 it left in good order, 3 it was cut off, 4 the producer refused it.
        """
        try:
            await self._leaving.unless(self._until_there(self._means.broker.open))
            joined = await self._leaving.unless(self._joining.join())
            if joined is not None:
                await asyncio.to_thread(self._folder.take, process_exists)
                await self._work(joined, on_ready)
                await asyncio.to_thread(self._folder.leave)
        finally:
            await self._means.broker.close()
        return self._leaving.exit_code

    async def _until_there(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """The broker's answer, waiting for the broker as long as it takes."""
        pause = 0.5
        while True:
            try:
                return await ask()
            except BrokerUnavailable as error:
                self._log.warning("waiting for the broker", error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    # ---------------------------------------------------------------- working

    async def _work(self, joined: AgentJoined, on_ready: Callable[[], None]) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._means.reporter.run())]
            tickets = await self._leaving.unless(self._subscribed(jobs(self._identity.pool)))
            control = await self._leaving.unless(self._subscribed(CONTROL))
            if tickets is not None and control is not None:
                every = joined.heartbeat_seconds
                work = (self._listen(control), self._beat(every), self._stop_in_time())
                beside += [group.create_task(one) for one in work]
                if self._means.settings.idle_exit_seconds:
                    beside.append(group.create_task(self._leave_when_idle(every)))
                if self._means.settings.ends_at is not None:
                    beside.append(group.create_task(self._leave_before_end(every)))
                on_ready()
                await self._take_until_it_leaves(group, beside, tickets, every)
                await self._end(control)
            await self._say_farewell()
            for task in beside:
                task.cancel()

    async def _take_until_it_leaves(
        self, group: asyncio.TaskGroup, beside: list[asyncio.Task[None]], tickets: Subscription, every: float
    ) -> None:
        """Serve tickets; one that was asked to drain, and is not any more when its job is done, takes tickets again."""
        taken: Subscription | None = tickets
        while taken is not None:
            stopping = group.create_task(self._stop_taking(taken))
            beside.append(stopping)
            await self._desk.serve(taken, every)
            if not await self._stays():
                return
            await asyncio.wait({stopping})  # what had come already goes back before anything new is asked for
            with suppress(BrokerUnavailable):
                await taken.close()
            self._log.info("taking jobs again", reason="It is not asked to drain any more.")
            taken = await self._leaving.unless(self._subscribed(jobs(self._identity.pool)))

    async def _stays(self) -> bool:
        """Whether the producer, which alone asked this agent to drain, does so no more.

        An order to drain is a hint that may be late or come again; what the producer has on record counts. Who cannot
        ask, leaves: that loses nothing.
        """
        if not self._leaving.revocable:
            return False
        try:
            async with asyncio.timeout(_ASKING_SECONDS):
                seen = await self._means.producer.agent(self._identity.name)
        except (BuildyardError, TimeoutError):
            return False
        if seen.state.lower() not in {AgentState.IDLE.value, AgentState.BUSY.value}:
            return False
        self._leaving.withdraw()
        return not self._leaving.decided

    async def _subscribed(self, channel: Channel) -> Subscription:
        return await self._until_there(lambda: self._means.broker.subscribe(channel, 1))

    async def _listen(self, control: Subscription) -> None:
        """Follow orders; those for others, and those nobody can read, are passed over."""
        async for delivery in control:
            try:
                order = read_message(CONTROL_MESSAGE, delivery.body)
            except UnreadableMessage as error:
                self._log.warning("an order cannot be read", error=str(error))
            else:
                self._follow(order)
            with suppress(BrokerUnavailable):
                await delivery.ack()

    def _follow(self, order: Order) -> None:
        match order:
            case CancelJob():
                self._desk.cancel(order)
            case AttemptOver():
                self._desk.give_up(order)
            case _ if order.agent == self._identity.name:
                self.leave(Urgency.DRAIN, order.reason or "The agent was asked to drain.", asked=True)

    async def _beat(self, every: float) -> None:
        """Tell how the agent is, and notice when nobody has heard of it for too long."""
        while True:
            sample = await asyncio.to_thread(health, self._means.settings.data_dir)
            now = self._means.clock.now()
            self._means.reporter.offer(AgentHeartbeat(agent=self._identity.name, at=now, health=sample))
            await asyncio.sleep(every)
            await self._check_contact()

    async def _check_contact(self) -> None:
        grace = self._means.settings.orphan_grace_seconds
        last = max(self._means.reporter.last_contact, self._joining.last_contact)
        if self._means.clock.monotonic() - last <= grace:
            return
        try:
            await self._joining.join_once()
        except TemporaryError:
            self._desk.stop(StopCause.CUT_OFF)
            self._desk.abandon()
            reason = f"Neither the broker nor the producer could be reached for {grace:g} seconds."
            self.leave(Urgency.AT_ONCE, reason, EXIT_UNREACHABLE)
        except BuildyardError as error:
            self._log.warning("the producer refuses this agent", error=str(error))

    # ---------------------------------------------------------------- leaving

    async def _leave_when_idle(self, heartbeat_seconds: float) -> None:
        """Leave after some time without work. A ticket that comes at the same moment goes back to the broker.

        While the broker takes nothing, no ticket could come either: that time does not count.
        """
        limit = self._means.settings.idle_exit_seconds
        clock = self._means.clock
        heard_since = clock.monotonic()
        while True:
            now = clock.monotonic()
            if now - self._means.reporter.last_contact > 2 * heartbeat_seconds:
                heard_since = now
            left = limit - min(self._desk.idle_seconds, now - heard_since)
            if left <= 0:
                self.leave(Urgency.DRAIN, f"It had nothing to do for {limit:g} s.")
                return
            await asyncio.sleep(max(min(left, heartbeat_seconds), _LEAST_IDLE_LOOK_SECONDS))

    async def _leave_before_end(self, heartbeat_seconds: float) -> None:
        """Leave once no job could end before the platform takes this worker's place away."""
        while True:  # asked again and again: the machine's clock may be set, and the machine may have slept
            left = seconds_to_claim(self._means.settings, self._means.clock.now())
            if left is None or left <= 0:
                break
            await asyncio.sleep(max(min(left, heartbeat_seconds), _LEAST_IDLE_LOOK_SECONDS))
        self.leave(Urgency.DRAIN, why_no_more(self._means.settings))

    async def _stop_taking(self, tickets: Subscription) -> None:
        await self._leaving.wait()
        await self._end(tickets)

    async def _end(self, subscription: Subscription) -> None:
        """Take nothing more from it; a broker that is away hears so later, when it notices that we are gone."""
        try:
            await subscription.stop()
        except BrokerUnavailable as error:
            self._log.warning("the broker could not be told that this agent takes nothing more", error=str(error))

    async def _stop_in_time(self) -> None:
        """Stop the job in hand so early that its end can still be told within the grace."""
        loop = asyncio.get_running_loop()
        grace = self._means.settings.grace_seconds
        while True:
            urgency = await self._leaving.next_change()
            if urgency is Urgency.TERMINATE:
                stop_at = max(0.0, grace - TERM_SECONDS - _REPORTING_SECONDS)
                loop.call_later(stop_at, self._desk.stop, StopCause.HANDED_BACK)
                loop.call_later(grace, self._desk.abandon)
            elif urgency is Urgency.AT_ONCE:
                self._desk.stop(StopCause.HANDED_BACK)
                loop.call_later(TERM_SECONDS + _REPORTING_SECONDS, self._desk.abandon)

    async def _say_farewell(self) -> None:
        left = AgentLeft(agent=self._identity.name, at=self._means.clock.now(), reason=self._leaving.reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._means.reporter.confirm(left)
