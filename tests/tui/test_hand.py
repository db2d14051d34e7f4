"""Orders through the typed client: what is asked again is asked with the same key, and not for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildAccepted, CancelAccepted, Links
from buildyard.contracts.dead import DeadLetterDetail
from buildyard.errors import BuildyardError, Conflict, ProducerUnavailable
from orchestrator.api import examples
from tests.tui.samples import identifier
from tui.orders import Order, Verb
from tui.source.hand import TRIES, carried_out
from tui.state import Ref

ACCEPTED = BuildAccepted(
    execution_id=identifier(2),
    status="Queued",
    queue_position=1,
    estimated_start_time=None,
    estimated_duration=None,
    links=Links(self_="/", logs="/", events="/", trace="/"),
)


class Producer(ProducerClient):
    """A producer that fails as it is told, then answers; it keeps the keys that it was asked with."""

    def __init__(self, *failures: BuildyardError) -> None:
        super().__init__("http://127.0.0.1:1")
        self.failures = list(failures)
        self.keys: list[str] = []
        self.failed_only: list[bool | None] = []

    def _asked(self, key: str) -> None:
        self.keys.append(key)
        if self.failures:
            raise self.failures.pop(0)

    async def retry(self, build_id: str, *, failed_only: bool | None = None, key: str = "") -> BuildAccepted:  # noqa: ARG002 - the client's shape
        self.failed_only.append(failed_only)
        self._asked(key)
        return ACCEPTED

    async def requeue(self, build_id: str, *, key: str = "") -> BuildAccepted:  # noqa: ARG002 - the client's shape
        self._asked(key)
        return ACCEPTED

    async def drop(self, build_id: str, reason: str, *, key: str = "") -> DeadLetterDetail:  # noqa: ARG002 - likewise
        self._asked(key)
        return examples.dead_letter_detail

    async def cancel(self, build_id: str) -> CancelAccepted:
        self._asked("")
        return CancelAccepted(execution_id=build_id, status="Cancelling")


def silence() -> ProducerUnavailable:
    return ProducerUnavailable("It broke off the connection.", retry_after=0)


def order(verb: Verb) -> Order:
    return Order(verb, Ref("build", identifier(1)), "tui-1", reason="So.")


@pytest.mark.parametrize("verb", ["retry", "retry_failed", "requeue", "drop"])
async def test_what_would_be_done_twice_is_asked_again_with_its_key(verb: Verb) -> None:
    async with Producer(silence(), silence()) as producer:
        await carried_out(producer, order(verb))
        assert producer.keys == ["tui-1"] * 3
        assert set(producer.failed_only) <= {True if verb == "retry_failed" else None}


async def test_a_request_that_is_still_worked_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncio.sleep", _at_once())
    busy = Conflict("The first request with this key is still worked on.")
    busy.code = "in_progress"
    async with Producer(busy) as producer:
        done = await carried_out(producer, order("retry"))
        assert (done.made, len(producer.keys)) == (Ref("build", identifier(2)), 2)


async def test_a_server_that_stays_silent_is_given_up_and_a_conflict_is_not_asked_again() -> None:
    async with Producer(*[silence() for _ in range(TRIES)]) as producer:
        with pytest.raises(ProducerUnavailable):
            await carried_out(producer, order("cancel"))
        assert len(producer.keys) == TRIES
    async with Producer(Conflict("It has ended.")) as producer:
        with pytest.raises(Conflict):
            await carried_out(producer, order("cancel"))
        assert len(producer.keys) == 1


def _at_once() -> Callable[[float], Awaitable[None]]:
    async def sleep(_: float) -> None:
        return

    return sleep
