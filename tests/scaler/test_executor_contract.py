"""What every executor promises. A new executor adds a harness to `HARNESSES`; no test here names one."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.errors import InvalidRequest, NotFound, TemporaryError
from scaler.executors import Executor
from scaler.executors.process import ProcessExecutor
from tests.scaler.docker_harness import DockerHarness
from tests.scaler.processes import ended
from tests.scaler.ssh_yard import SshHarness

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


class Harness(Protocol):
    """How the suite handles one kind of executor."""

    def executor(self, behaviour: str = "wait") -> Executor:
        """An executor; a second call gives a successor that shares nothing in memory with the first."""

    async def gone(self, worker: WorkerInfo) -> None:
        """Wait until a worker has ended."""

    async def break_platform(self) -> None:
        """Make the platform impossible to ask."""

    async def close(self) -> None:
        """End every worker."""


@runtime_checkable
class Draining(Protocol):
    """A harness whose executor only waits when it is to stop its workers."""

    async def drain(self, name: str) -> None:
        """Have a worker leave as it does when its producer asks it to."""


class ProcessHarness:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.executors: list[ProcessExecutor] = []

    def executor(self, behaviour: str = "wait") -> ProcessExecutor:
        environment = {"PATH": os.environ["PATH"], "BUILDYARD_DATA_DIR": str(self.folder), "FAKE": behaviour}
        made = ProcessExecutor(self.folder, environment, SystemClock(), (sys.executable, str(FAKE_WORKER)))
        self.executors.append(made)
        return made

    async def gone(self, worker: WorkerInfo) -> None:
        assert worker.pid is not None
        await ended(worker.pid)

    async def break_platform(self) -> None:
        await self.close()
        (self.folder / "workers").rename(self.folder / "elsewhere")
        (self.folder / "workers").write_text("no folder")
        self.executors = []

    async def close(self) -> None:
        for executor in self.executors:
            assert await executor.stop(10) == ()


HARNESSES: dict[str, Callable[[Path], Harness]] = {
    "process": ProcessHarness,
    "docker": DockerHarness,
    "ssh": SshHarness,
}
"""The suite for Jobs is in `tests/cluster`, beside their cluster."""


@pytest.fixture(params=HARNESSES)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    made = HARNESSES[request.param](tmp_path)
    yield made
    await made.close()


async def leave(harness: Harness, executor: Executor) -> None:
    """Have the workers leave: asked by their executor, or by somebody else where it may not end one."""
    if isinstance(harness, Draining):
        for worker in await executor.list():
            await harness.drain(worker.name)
    else:
        assert await executor.stop(10) == ()


async def only(executor: Executor) -> WorkerInfo:
    (worker,) = await executor.list()
    return worker


async def test_a_new_executor_has_no_workers(harness: Harness) -> None:
    assert await harness.executor().list() == ()


async def test_a_started_worker_runs_under_its_name(harness: Harness) -> None:
    executor = harness.executor()

    await executor.start("linux-1-1")

    worker = await only(executor)
    assert (worker.name, worker.pool, worker.state, worker.exit_code) == ("linux-1-1", "linux", "Running", None)
    assert worker == (await executor.describe("linux-1-1")).model_copy(update={"age_seconds": worker.age_seconds})


async def test_the_pool_is_read_from_the_name_whatever_it_holds(harness: Harness) -> None:
    executor = harness.executor()

    await executor.start("arm-64-2-17")

    assert (await only(executor)).pool == "arm-64"


async def test_a_name_is_started_once(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")
    first = await only(executor)

    await executor.start("linux-1-1")

    assert (await only(executor)).pid == first.pid


async def test_a_name_that_ended_is_never_started_again(harness: Harness) -> None:
    executor = harness.executor("exit:0")
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    await executor.start("linux-1-1")

    assert (await only(executor)).state == "Exited"


async def test_the_end_of_a_worker_is_seen_with_its_exit_code(harness: Harness) -> None:
    executor = harness.executor("exit:4")
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    worker = await only(executor)

    assert (worker.state, worker.exit_code) == ("Exited", 4)


async def test_a_successor_finds_the_workers_and_starts_no_twin(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")
    first = await only(executor)

    successor = harness.executor()
    await successor.start("linux-1-1")

    found = await only(successor)
    assert (found.name, found.state, found.pid) == (first.name, "Running", first.pid)


async def test_a_successor_sees_the_end_of_a_worker_that_it_did_not_start(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")
    successor = harness.executor()
    worker = await only(successor)
    await leave(harness, executor)
    await harness.gone(worker)

    assert (await only(successor)).state == "Exited"


async def test_what_ended_is_still_known_to_a_successor(harness: Harness) -> None:
    executor = harness.executor("exit:3")
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))
    await executor.reap()

    worker = await only(harness.executor())

    assert (worker.state, worker.exit_code) == ("Exited", 3)


async def test_a_platform_that_cannot_be_asked_is_an_error_and_not_an_empty_list(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")
    await harness.break_platform()

    with pytest.raises(TemporaryError):
        await executor.list()
    with pytest.raises(TemporaryError):
        await executor.start("linux-2-1")


async def test_a_name_that_no_decision_gives_is_refused(harness: Harness) -> None:
    with pytest.raises(InvalidRequest, match="is not the name of a worker"):
        await harness.executor().start("../linux-1-1")


async def test_an_unknown_worker_is_not_found(harness: Harness) -> None:
    executor = harness.executor()

    with pytest.raises(NotFound):
        await executor.describe("linux-9-9")
    with pytest.raises(NotFound):
        await anext(executor.logs("linux-9-9"))


async def test_logs_are_what_the_worker_wrote(harness: Harness) -> None:
    executor = harness.executor("write:3,exit:0")
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    text = b"".join([piece async for piece in executor.logs("linux-1-1")])
    last = b"".join([piece async for piece in executor.logs("linux-1-1", tail=2)])

    assert text == b"started --pool linux --name linux-1-1\nline 0\nline 1\nline 2\n"
    assert last == b"line 1\nline 2\n"


async def test_following_a_log_gives_its_lines_at_once_and_ends_with_the_worker(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")

    async with aclosing(executor.logs("linux-1-1", follow=True)) as pieces:
        first = await anext(pieces)
        await leave(harness, executor)
        rest = [piece async for piece in pieces]

    assert (first, rest) == (b"started --pool linux --name linux-1-1\n", [])


async def test_stop_names_the_workers_that_still_run(harness: Harness) -> None:
    executor = harness.executor("ignore_term,wait")
    await executor.start("linux-1-1")
    async with aclosing(executor.logs("linux-1-1", follow=True)) as pieces:
        while b"deaf" not in await anext(pieces):
            pass

    assert await executor.stop(0) == ("linux-1-1",)

    worker = await only(executor)
    assert worker.state == "Running"
    if worker.pid is not None:
        os.kill(worker.pid, 9)


async def test_marking_who_idles_disturbs_nobody(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")
    await executor.start("linux-2-1")

    await executor.mark(frozenset({"linux-1-1"}))
    await executor.mark(frozenset())

    assert {worker.name: worker.state for worker in await executor.list()} == {
        "linux-1-1": "Running",
        "linux-2-1": "Running",
    }


async def test_letting_go_of_the_platform_leaves_its_workers(harness: Harness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")

    await executor.aclose()

    assert (await only(harness.executor())).state == "Running"
