"""Orders carried out through the producer's typed client: each once, also where an answer is lost on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from buildyard.client import ProducerClient
from buildyard.contracts.builds import Priority
from buildyard.errors import Conflict, TemporaryError
from tui.orders import Done, Order, Verb
from tui.state import Ref

TRIES = 4
_LONGEST_PAUSE_SECONDS = 5.0
_FROM_HERE = "asked for from the dashboard"


async def carried_out(producer: ProducerClient, order: Order) -> Done:
    """Do what is asked for; what fails for a temporary cause is asked for again some times, with the same key.

    Raises:
        BuildyardError: it was refused, or nobody answered.
    """
    for left in range(TRIES - 1, -1, -1):
        try:
            return await _ACTS[order.verb](producer, order)
        except TemporaryError as error:
            if not left:
                raise
            pause = error.retry_after
        except Conflict as error:
            # The first request is still worked on: its answer was lost, and is asked for here.
            if error.code != "in_progress" or not left:
                raise
            pause = 1.0
        await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
    raise AssertionError  # the last round returned or raised


async def _cancel(producer: ProducerClient, order: Order) -> Done:
    answer = await producer.cancel(order.ref.id)
    return Done(f"It is {answer.status}.")


async def _retry(producer: ProducerClient, order: Order) -> Done:
    failed_only = True if order.verb == "retry_failed" else None
    accepted = await producer.retry(order.ref.id, failed_only=failed_only, key=order.key)
    return Done(f"{accepted.execution_id} is {accepted.status}.", Ref("build", accepted.execution_id))


async def _reprioritise(producer: ProducerClient, order: Order) -> Done:
    build = await producer.set_priority(order.ref.id, Priority(order.priority))
    return Done(f"Its priority is {build.priority}.")


async def _drain(producer: ProducerClient, order: Order) -> Done:
    agent = await producer.drain_agent(order.ref.id, order.reason or _FROM_HERE)
    return Done(f"It is {agent.state}.")


async def _undrain(producer: ProducerClient, order: Order) -> Done:
    agent = await producer.undrain_agent(order.ref.id)
    return Done(f"It is {agent.state}.")


async def _pause(producer: ProducerClient, order: Order) -> Done:
    await producer.pause_pool(order.ref.id, order.reason)
    return Done("It hands out nothing more.")


async def _resume(producer: ProducerClient, order: Order) -> Done:
    await producer.resume_pool(order.ref.id, order.reason)
    return Done("It hands out what waits.")


async def _requeue(producer: ProducerClient, order: Order) -> Done:
    accepted = await producer.requeue(order.ref.id, key=order.key)
    return Done(f"{accepted.execution_id} is {accepted.status}.", Ref("build", accepted.execution_id))


async def _drop(producer: ProducerClient, order: Order) -> Done:
    await producer.drop(order.ref.id, order.reason, key=order.key)
    return Done("It is given up.")


_ACTS: Mapping[Verb, Callable[[ProducerClient, Order], Awaitable[Done]]] = {
    "cancel": _cancel,
    "retry": _retry,
    "retry_failed": _retry,
    "reprioritise": _reprioritise,
    "drain": _drain,
    "undrain": _undrain,
    "pause": _pause,
    "resume": _resume,
    "requeue": _requeue,
    "drop": _drop,
}
