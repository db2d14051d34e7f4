"""What only the executor of local processes has to get right: processes, their numbers, their leftovers."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.errors import InvalidSettings, TemporaryError
from scaler.executors import process
from scaler.executors.log_file import LogFile
from scaler.executors.process import ProcessExecutor
from tests.scaler.processes import ended

FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
Maker = Callable[..., ProcessExecutor]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    made: list[ProcessExecutor] = []

    def maker(behaviour: str = "wait", command: tuple[str, ...] = FAKE_WORKER) -> ProcessExecutor:
        environment = {"PATH": os.environ["PATH"], "BUILDYARD_DATA_DIR": str(tmp_path), "FAKE": behaviour}
        executor = ProcessExecutor(tmp_path, environment, SystemClock(), command)
        made.append(executor)
        return executor

    yield maker
    for executor in made:
        await executor.stop(10)


async def first_line_with(executor: ProcessExecutor, word: bytes) -> bytes:
    async with aclosing(executor.logs("linux-1-1", follow=True)) as pieces:
        async for piece in pieces:
            for line in piece.splitlines():
                if word in line:
                    return line
    raise AssertionError(word)


async def pid_of(executor: ProcessExecutor, name: str = "linux-1-1") -> int:
    pid = (await executor.describe(name)).pid
    assert pid is not None
    return pid


async def test_what_a_dead_worker_left_running_is_killed_but_not_what_another_farm_runs(make: Maker) -> None:
    executor = make("leave_children,wait")
    await executor.start("linux-1-1")
    _, ours, foreign = (await first_line_with(executor, b"leftovers")).split()
    try:
        os.kill(await pid_of(executor), signal.SIGKILL)
        await ended(await pid_of(executor))

        await executor.reap()

        await ended(int(ours))
        os.kill(int(foreign), 0)
        assert (await executor.describe("linux-1-1")).exit_code == -signal.SIGKILL
    finally:
        os.kill(int(foreign), signal.SIGKILL)


async def test_a_living_workers_children_are_left_alone(make: Maker) -> None:
    executor = make("leave_children,wait")
    await executor.start("linux-1-1")
    _, ours, foreign = (await first_line_with(executor, b"leftovers")).split()
    try:
        await executor.reap()

        os.kill(int(ours), 0)
    finally:
        os.kill(int(foreign), signal.SIGKILL)


async def test_a_worker_whose_scaler_died_before_writing_it_down_is_found(make: Maker, tmp_path: Path) -> None:
    executor = make()
    await executor.start("linux-1-1")
    await first_line_with(executor, b"started")
    (tmp_path / "workers/linux-1-1/worker.json").unlink()

    successor = make()

    assert await pid_of(successor) == await pid_of(executor)


async def test_a_start_that_was_interrupted_before_the_process_ran_is_over(make: Maker, tmp_path: Path) -> None:
    folder = tmp_path / "workers/linux-1-1"
    executor = make()
    folder.mkdir()
    assert await executor.list() == ()

    os.utime(folder, (0, 0))

    (worker,) = await executor.list()
    assert (worker.state, worker.detail) == ("Exited", "Its start was interrupted.")


async def test_a_number_that_went_to_another_process_is_not_taken_for_the_worker(make: Maker, tmp_path: Path) -> None:
    executor = make()
    await executor.start("linux-1-1")
    state = tmp_path / "workers/linux-1-1/worker.json"
    state.write_text(state.read_text().replace(f'"pid":{await pid_of(executor)}', f'"pid":{os.getpid()}'))

    successor = make()

    assert (await successor.describe("linux-1-1")).state == "Exited"
    await successor.stop(0)  # and its signal does not reach the other process


async def test_a_state_file_that_cannot_be_read_is_no_empty_answer(make: Maker, tmp_path: Path) -> None:
    await make().start("linux-1-1")
    state = tmp_path / "workers/linux-1-1/worker.json"
    whole = state.read_text()
    state.write_text("{")

    with pytest.raises(TemporaryError, match="The state of the worker linux-1-1 cannot be read") as caught:
        await make().list()

    assert "remove its folder" in caught.value.remedy
    state.write_text(whole)


async def test_a_running_worker_whose_folder_vanished_is_still_there(make: Maker, tmp_path: Path) -> None:
    executor = make()
    await executor.start("linux-1-1")
    shutil.rmtree(tmp_path / "workers/linux-1-1")

    assert (await executor.describe("linux-1-1")).state == "Running"

    await executor.stop(10)
    assert await executor.list() == ()


async def test_a_worker_that_cannot_be_started_is_known_as_ended(make: Maker) -> None:
    executor = make(command=("/nowhere/python",))

    with pytest.raises(TemporaryError, match="linux-1-1 could not be started: No such file"):
        await executor.start("linux-1-1")

    (worker,) = await executor.list()
    assert (worker.state, worker.detail) == ("Exited", "It could not be started: No such file or directory.")


async def test_a_worker_gets_its_environment_and_the_data_folder(make: Maker, tmp_path: Path) -> None:
    executor = make("environment,wait")
    await executor.start("linux-1-1")

    line = (await first_line_with(executor, b"BUILDYARD_DATA_DIR")).decode()

    assert line.endswith(str(tmp_path))
    assert "'HOME'" not in line


async def test_only_the_last_ended_workers_keep_their_folders(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "KEPT_FOLDERS", 1)
    executor = make("exit:0")
    for name in ("linux-1-1", "linux-1-2", "linux-1-3"):
        await executor.start(name)
        await ended(await pid_of(executor, name))
        await executor.reap()

    assert [worker.name for worker in await executor.list()] == ["linux-1-3"]
    assert [folder.name for folder in (tmp_path / "workers").iterdir()] == ["linux-1-3"]


def test_a_data_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidSettings, match="cannot be made"):
        ProcessExecutor(tmp_path / "file", {}, SystemClock())


# ------------------------------------------------------------------------------------------------ logs


@pytest.mark.parametrize("lines", [0, 1, 2, 999, 20_000, 30_000])
async def test_the_tail_is_exact_whatever_the_length(tmp_path: Path, lines: int) -> None:
    whole = [b"line %d\n" % number for number in range(20_000)]
    (tmp_path / "agent.log").write_bytes(b"".join(whole))

    text = b"".join([piece async for piece in LogFile(tmp_path / "agent.log").read(lines, None)])

    assert text == b"".join(whole[len(whole) - lines :] if lines <= len(whole) else whole)


async def test_the_tail_of_a_log_without_a_last_line_feed(tmp_path: Path) -> None:
    (tmp_path / "agent.log").write_bytes(b"one\ntwo\nthr")

    assert [piece async for piece in LogFile(tmp_path / "agent.log").read(2, None)] == [b"two\n", b"thr"]


async def test_a_log_that_grew_too_long_begins_anew_and_keeps_its_past_once(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    with log.open("ab") as writer:
        writer.write(b"old\n" * 100)
        writer.flush()
        LogFile(log).bound(1_000)
        assert log.stat().st_size == 400
        LogFile(log).bound(300)
        writer.write(b"new\n")

    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "agent.log.1").read_bytes() == b"old\n" * 100


async def test_a_follower_reads_on_after_the_log_began_anew(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    log.write_bytes(b"old line\n")
    looks = iter([True, True, False])

    def more() -> bool:
        return next(looks)

    pieces = LogFile(log).read(None, more)
    assert await anext(pieces) == b"old line\n"
    LogFile(log).bound(1)
    with log.open("ab") as writer:
        writer.write(b"new\n")

    assert [piece async for piece in pieces] == [b"new\n"]
