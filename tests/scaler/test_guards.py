"""What keeps a scaler that dies, or two at once, from starting twins or nobody: each guard, and the run without it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.scaling import WorkerState, WorkerView
from buildyard.errors import BrokerUnavailable, TemporaryError
from buildyard.ports import Broker, Channel, Depth, jobs
from chaos.processes import running
from scaler import app, decide
from scaler.app import LateBroker
from scaler.executors import process
from scaler.executors.process import ProcessExecutor, _Record
from tests.guards import holds_only_with
from tests.scaler.observing import observed
from tests.scaler.test_process_executor import FAKE_WORKER

PATIENCE = 90.0


class _Died(BaseException):
    """The scaler's process ends here."""


class _Scalers:
    """Scalers one after the other, or at once, on one folder with one job that waits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._all: list[ProcessExecutor] = []

    def new(self) -> ProcessExecutor:
        environment = {"PATH": os.environ["PATH"], "BUILDYARD_DATA_DIR": str(self.folder), "FAKE": "wait"}
        self._all.append(ProcessExecutor(self.folder, environment, SystemClock(), FAKE_WORKER))
        return self._all[-1]

    async def tick(self, executor: ProcessExecutor) -> None:
        """Look, decide and start."""
        await self.start(executor, await self.look(executor))

    async def look(self, executor: ProcessExecutor) -> tuple[str, ...]:
        """Whom a scaler would start that sees these workers, none of which has joined yet."""
        seen = [_view(info.name, info.state) for info in await executor.list()]
        return decide.decide(observed(ready=1, workers=tuple(seen))).start

    async def start(self, executor: ProcessExecutor, names: tuple[str, ...]) -> None:
        for name in names:
            await executor.start(name)

    @property
    def workers(self) -> int:
        """How many processes there are."""
        return len(running(self.folder))

    async def end(self) -> None:
        """Stop all workers, also those that no scaler knows."""
        for executor in self._all:
            await executor.stop(0)
        for one in running(self.folder):
            with suppress(ProcessLookupError):
                os.kill(one.pid, 9)


def _view(name: str, state: str) -> WorkerView:
    _, slot, generation = name.rsplit("-", 2)
    found = WorkerState.PENDING if state == "Running" else WorkerState.EXITED
    return WorkerView(name=name, slot=int(slot), generation=int(generation), state=found)


@pytest.fixture
async def scalers(tmp_path: Path) -> AsyncIterator[Callable[[], _Scalers]]:
    made: list[_Scalers] = []

    def make() -> _Scalers:
        folder = tmp_path / f"farm-{len(made)}"
        folder.mkdir()
        made.append(_Scalers(folder))
        return made[-1]

    yield make
    for one in made:
        await one.end()


def _names_of_chance(patch: pytest.MonkeyPatch) -> None:
    generations = count(1000)
    patch.setattr(decide, "worker_name", lambda pool, slot, _: f"{pool}-{slot}-{next(generations)}")


async def test_two_scalers_at_once_start_one_worker_because_both_come_to_the_same_name(
    scalers: Callable[[], _Scalers], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        here = scalers()
        first, second = here.new(), here.new()
        looks = [(one, await here.look(one)) for one in (first, second)]  # before either has started anybody
        for one, names in looks:
            await here.start(one, names)
        return [] if here.workers == 1 else [f"{here.workers} workers for one job"]

    await holds_only_with(_names_of_chance, check, monkeypatch)


async def test_a_worker_whose_scaler_died_before_it_wrote_it_down_gets_no_twin_because_it_is_found_by_its_name(
    scalers: Callable[[], _Scalers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two guards: it is found, and were it not, the next scaler would come to the same name."""

    async def check() -> list[str]:
        here = scalers()
        with monkeypatch.context() as patch:
            patch.setattr(ProcessExecutor, "_write", _die)
            with pytest.raises(_Died):
                await here.tick(here.new())
        await here.tick(here.new())
        return [] if here.workers == 1 else [f"{here.workers} workers for one job"]

    def _die(_executor: ProcessExecutor, _record: _Record) -> None:
        raise _Died

    def guards_out(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(ProcessExecutor, "_find_unrecorded", lambda *_: None)
        _names_of_chance(patch)

    await holds_only_with(guards_out, check, monkeypatch)


async def test_a_job_whose_scaler_died_before_the_launch_gets_a_worker_because_the_start_counts_as_interrupted(
    scalers: Callable[[], _Scalers], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> list[str]:
        here = scalers()
        with monkeypatch.context() as patch:
            patch.setattr(ProcessExecutor, "_spawn", _die)
            with pytest.raises(_Died):
                await here.tick(here.new())
        for folder in (here.folder / "workers").iterdir():
            os.utime(folder, (0, 0))  # long ago
        successor = here.new()
        for _ in range(3):
            await here.tick(successor)
        return [] if here.workers == 1 else ["the job waits for a worker that nobody started"]

    def _die(_executor: ProcessExecutor, _record: _Record) -> int:
        raise _Died

    await holds_only_with(lambda patch: patch.setattr(process, "_START_SECONDS", float("inf")), check, monkeypatch)


class _Late:
    """A broker that can be opened at the third time."""

    def __init__(self) -> None:
        self.tries = 0

    async def open(self) -> None:
        self.tries += 1
        if self.tries < 3:
            raise BrokerUnavailable("It is not there yet.")

    async def witnesses(self, _: Channel) -> tuple[Depth, ...]:
        return (Depth(ready=1, unacked=0, consumers=0, source="test", age_seconds=0.0),)


async def test_a_scaler_that_is_there_before_its_broker_counts_in_the_end_because_it_goes_on_trying(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "FIRST_PAUSE_SECONDS", 0.01)

    async def check() -> list[str]:
        late = LateBroker(_broker(_Late()))
        async with asyncio.timeout(PATIENCE):
            await late.open_for_ever()
        try:
            await late.witnesses(jobs("linux"))
        except TemporaryError as error:
            return [f"it counts nothing although the broker is there: {error}"]
        return []

    async def once(self: LateBroker) -> None:
        with suppress(BrokerUnavailable):
            await self._broker.open()
            self._open.set()

    await holds_only_with(lambda patch: patch.setattr(LateBroker, "open_for_ever", once), check, monkeypatch)


def _broker(late: _Late) -> Broker:
    return late  # type: ignore[return-value] # what the scaler's broker uses of it
