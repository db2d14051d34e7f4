"""What only workers on other machines can get wrong: keys, connections, hosts that are away, two scalers at once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.pools_ssh import SshHost, SshPool
from buildyard.contracts.scaling import PendingCode, PoolConfig
from buildyard.errors import InvalidRequest, TemporaryError
from buildyard.settings import load_settings
from chaos.proxy import Proxy, proxied
from scaler.executors import ssh_memory
from scaler.executors.opening import open_executors
from scaler.executors.ssh import SshExecutor
from tests.scaler.processes import ended
from tests.scaler.ssh_yard import Machine, executor_of

Maker = Callable[..., SshExecutor]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, "a")
    yield machine
    machine.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, "b")
    yield machine
    machine.stop()


@pytest.fixture
async def proxy(host: Machine) -> AsyncIterator[Proxy]:
    async with proxied("127.0.0.1", host.port) as between:
        yield between


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    """Make executors; what their workers left is ended by the numbers in the hosts' own files."""
    made: list[SshExecutor] = []

    def maker(*hosts: SshHost, **more: Any) -> SshExecutor:
        executor = executor_of({"linux": hosts}, **more)
        made.append(executor)
        return executor

    yield maker
    for executor in made:
        await executor.aclose()
    for record in records(tmp_path):
        if record["pid"] and not record["ended_at"]:
            try:
                os.kill(record["pid"], signal.SIGKILL)
            except ProcessLookupError:
                continue
            await ended(record["pid"])


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*/data/workers/*/worker.json"))]


async def first_line_with(executor: SshExecutor, word: bytes, name: str = "linux-1-1") -> bytes:
    async with aclosing(executor.logs(name, follow=True)) as pieces:
        async for piece in pieces:
            for line in piece.splitlines():
                if word in line:
                    return line
    raise AssertionError(word)


async def pid_of(executor: SshExecutor, name: str = "linux-1-1") -> int:
    pid = (await executor.describe(name)).pid
    assert pid is not None
    return pid


async def answered(executor: SshExecutor) -> None:
    """Wait until the executor can list again; it connects anew after its own pauses."""
    async with asyncio.timeout(60):
        while True:
            try:
                await executor.list()
            except TemporaryError:
                await asyncio.sleep(0.05)
            else:
                return


# ------------------------------------------------------------------------------------------------ whom to trust


async def test_a_host_that_shows_another_key_is_never_spoken_to(host: Machine, other: Machine, make: Maker) -> None:
    entry = host.entry()
    Path(entry.known_hosts).write_text(other.known_as(host.port))
    executor = make(entry)

    with pytest.raises(TemporaryError, match=r"shows another key SHA256:\S+ than .* names: another machine answers"):
        await executor.list()
    with pytest.raises(TemporaryError, match="another key"):
        await executor.start("linux-1-1")

    assert not host.data_dir.exists()


async def test_a_host_whose_key_nobody_noted_is_never_spoken_to(host: Machine, make: Maker) -> None:
    entry = host.entry()
    Path(entry.known_hosts).write_text("")

    with pytest.raises(TemporaryError, match=f"names no key for 127.0.0.1:{host.port}; compare what `ssh-keyscan -p"):
        await make(entry).list()

    assert not host.data_dir.exists()


@pytest.mark.parametrize("file", ["known_hosts", "key_file"])
async def test_a_file_that_is_not_there_is_named(host: Machine, make: Maker, file: str) -> None:
    with pytest.raises(TemporaryError, match="/nowhere/file cannot be read"):
        await make(host.entry().model_copy(update={file: "/nowhere/file"})).list()


async def test_a_login_that_is_refused_says_whose_with_which_key(host: Machine, make: Maker) -> None:
    (host.server.folder / "authorized").write_text("")

    with pytest.raises(TemporaryError, match=r"refuses the login of \w+ with \S+/client; see its authorized_keys"):
        await make(host.entry()).list()


async def test_a_secret_of_the_workers_is_on_no_command_line(host: Machine, make: Maker) -> None:
    executor = make(host.entry(), behaviour="environment,wait", environment={"BUILDYARD_TOKEN": "s3cret-word"})
    await executor.start("linux-1-1")

    assert b"s3cret-word" in await first_line_with(executor, b"BUILDYARD_TOKEN")

    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"s3cret-word" not in process.read_bytes()
        except OSError:
            continue
    written = [file for file in host.data_dir.rglob("*") if file.is_file() and file.name != "agent.log"]
    assert written
    assert all(b"s3cret-word" not in file.read_bytes() for file in written)


# ------------------------------------------------------------------------------------------------ what it runs


async def test_a_worker_gets_the_hosts_variables_and_its_data_folder(host: Machine, make: Maker) -> None:
    executor = make(host.entry(environment={"OF": "host"}), behaviour="environment,wait", environment={"PLACE": "pool"})
    await executor.start("linux-1-1")

    line = (await first_line_with(executor, b"BUILDYARD_DATA_DIR")).decode()

    assert "'OF': 'host'" in line
    assert "'PLACE': 'pool'" in line
    assert f"'BUILDYARD_DATA_DIR': '{host.data_dir}'" in line
    assert line.endswith(str(host.data_dir))
    assert "SSH_CONNECTION" not in line


async def test_a_host_without_the_python_says_so(host: Machine, make: Maker) -> None:
    with pytest.raises(TemporaryError, match=r"/nowhere/python: its Python ended: .*/nowhere/python"):
        await make(host.entry(python="/nowhere/python")).list()


async def test_what_a_login_prints_is_passed_over(host: Machine, make: Maker, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy"
    noisy.write_text(f'#!/bin/sh\necho Welcome\necho\nexec {sys.executable} "$@"\n')
    noisy.chmod(0o755)

    assert await make(host.entry(python=str(noisy))).list() == ()


async def test_a_worker_that_cannot_be_started_is_known_as_ended(host: Machine, make: Maker) -> None:
    executor = make(host.entry(), command=("/nowhere/worker",))

    with pytest.raises(TemporaryError, match=r"linux-1-1 could not be started on the host a: .*/nowhere/worker"):
        await executor.start("linux-1-1")

    (worker,) = await executor.list()
    assert (worker.state, worker.pending_code, worker.node) == ("Exited", PendingCode.BAD_SPEC, "a")
    assert "No such file or directory" in worker.pending_reason


async def test_a_killed_worker_keeps_how_it_ended(host: Machine, make: Maker) -> None:
    executor = make(host.entry())
    await executor.start("linux-1-1")
    pid = await pid_of(executor)

    os.kill(pid, signal.SIGKILL)
    await ended(pid)

    assert (await executor.describe("linux-1-1")).exit_code == -signal.SIGKILL


async def test_what_a_dead_worker_left_running_is_killed_but_not_what_another_farm_runs(
    host: Machine, make: Maker
) -> None:
    executor = make(host.entry(), behaviour="leave_children,wait")
    await executor.start("linux-1-1")
    _, ours, foreign = (await first_line_with(executor, b"leftovers")).split()
    try:
        os.kill(await pid_of(executor), signal.SIGKILL)

        await ended(int(ours))
        os.kill(int(foreign), 0)
    finally:
        os.kill(int(foreign), signal.SIGKILL)


async def test_a_worker_whose_keeper_was_killed_goes_on_and_its_leftovers_are_reaped(
    host: Machine, make: Maker, tmp_path: Path
) -> None:
    executor = make(host.entry(), behaviour="leave_children,wait")
    await executor.start("linux-1-1")
    _, ours, foreign = (await first_line_with(executor, b"leftovers")).split()
    try:
        (record,) = records(tmp_path)
        os.kill(record["keeper"], signal.SIGKILL)
        await ended(record["keeper"])
        assert (await executor.describe("linux-1-1")).state == "Running"

        os.kill(record["pid"], signal.SIGKILL)
        await ended(record["pid"])
        worker = await executor.describe("linux-1-1")
        assert (worker.state, worker.exit_code) == ("Exited", None)
        os.kill(int(ours), 0)
        await executor.reap()

        await ended(int(ours))
    finally:
        os.kill(int(foreign), signal.SIGKILL)


async def test_a_number_that_went_to_another_process_is_not_taken_for_the_worker(
    host: Machine, make: Maker, tmp_path: Path
) -> None:
    executor = make(host.entry())
    await executor.start("linux-1-1")
    (record,) = records(tmp_path)
    state = host.data_dir / "workers/linux-1-1/worker.json"
    whole = state.read_text()
    for number in (record["keeper"], record["pid"]):
        os.kill(number, signal.SIGKILL)
        await ended(number)
    state.write_text(json.dumps({**json.loads(whole), "pid": os.getpid(), "keeper": os.getpid()}))

    assert (await executor.describe("linux-1-1")).state == "Exited"
    assert await executor.stop(0) == ()  # and no signal reaches the other process


async def test_a_worker_whose_record_was_never_written_is_found(host: Machine, make: Maker) -> None:
    executor = make(host.entry())
    await executor.start("linux-1-1")
    await first_line_with(executor, b"started")
    pid = await pid_of(executor)
    (host.data_dir / "workers/linux-1-1/worker.json").unlink()

    assert await pid_of(make(host.entry())) == pid


async def test_a_start_that_was_interrupted_counts_as_coming_and_then_as_failed(host: Machine, make: Maker) -> None:
    executor = make(host.entry(), pending_seconds=1000)
    assert await executor.list() == ()
    folder = host.data_dir / "workers/linux-1-1"
    folder.mkdir()

    (coming,) = await executor.list()
    os.utime(folder, (0, 0))
    (over,) = await executor.list()

    assert (coming.state, coming.pending_code) == ("Running", PendingCode.STARTING)
    assert (over.state, over.pending_code, over.pending_reason) == (
        "Exited",
        PendingCode.BAD_SPEC,
        "Its start was interrupted.",
    )


async def test_a_state_file_that_cannot_be_read_is_no_empty_answer(host: Machine, make: Maker) -> None:
    executor = make(host.entry())
    await executor.start("linux-1-1")
    state = host.data_dir / "workers/linux-1-1/worker.json"
    whole = state.read_text()
    state.write_text("{")

    with pytest.raises(TemporaryError, match=r"worker.json: it is no JSON; remove its folder"):
        await executor.list()

    state.write_text(whole)


# ------------------------------------------------------------------------------------------------ several hosts


async def test_workers_are_spread_and_slots_are_kept(host: Machine, other: Machine, make: Maker) -> None:
    executor = make(host.entry(slots=2), other.entry(slots=1))
    for slot in (1, 2, 3):
        await executor.start(f"linux-{slot}-1")

    assert sorted(worker.node for worker in await executor.list()) == ["a", "a", "b"]
    with pytest.raises(TemporaryError, match="All 3 slots of the pool linux are taken"):
        await executor.start("linux-4-1")


async def test_two_scalers_that_start_the_same_names_at_once_start_each_once(
    host: Machine, other: Machine, make: Maker, tmp_path: Path
) -> None:
    scalers = [  # each would rather take another host than the other one
        make(host.entry(slots=20), other.entry(slots=5)),
        make(host.entry(slots=5), other.entry(slots=20)),
    ]
    names = [f"linux-{slot}-1" for slot in range(1, 6)]
    await asyncio.gather(*(scaler.list() for scaler in scalers))

    await asyncio.gather(*(scaler.start(name) for name in names for scaler in scalers))

    assert sorted(record["name"] for record in records(tmp_path)) == names
    for scaler in scalers:
        assert sorted(worker.name for worker in await scaler.list()) == names


async def test_a_name_that_was_placed_but_not_started_is_started_where_it_was_placed(
    host: Machine, other: Machine, make: Maker
) -> None:
    first = make(host.entry(slots=9), other.entry(slots=1))
    await first.list()
    for machine in (host, other):
        (machine.data_dir / "names/linux-1-1").write_text("b")

    await first.start("linux-1-1")

    assert (await first.describe("linux-1-1")).node == "b"


async def test_a_name_that_was_placed_on_a_host_that_is_gone_for_good_is_over(host: Machine, make: Maker) -> None:
    executor = make(host.entry())
    await executor.list()
    (host.data_dir / "names/linux-1-1").write_text("scrapped")

    await executor.start("linux-1-1")

    (worker,) = await executor.list()
    assert (worker.name, worker.state, worker.pending_code) == ("linux-1-1", "Exited", PendingCode.HOST_UNREACHABLE)
    assert worker.detail == "It was placed on the host scrapped, which the inventory has no more."


async def test_a_host_that_is_away_and_had_no_worker_is_passed_over(
    host: Machine, other: Machine, make: Maker, proxy: Proxy
) -> None:
    executor = make(host.entry(proxy.port), other.entry())
    assert await executor.list() == ()
    await proxy.refuse()

    await executor.start("linux-1-1")

    assert [worker.node for worker in await executor.list()] == ["b"]


async def test_workers_of_a_host_that_is_away_count_as_last_seen_and_the_others_go_on(
    host: Machine, other: Machine, make: Maker, proxy: Proxy
) -> None:
    executor = make(host.entry(proxy.port), other.entry())
    for slot in (1, 2, 3):
        await executor.start(f"linux-{slot}-1")
    before = {worker.name: worker for worker in await executor.list()}
    assert sorted(worker.node for worker in before.values()) == ["a", "a", "b"]
    await proxy.refuse()

    await executor.start("linux-4-1")
    found = {worker.name: worker for worker in await executor.list()}

    assert found.pop("linux-4-1").node == "b"
    assert {name: (worker.state, worker.node, worker.pid) for name, worker in found.items()} == {
        name: ("Running", worker.node, worker.pid) for name, worker in before.items()
    }
    for worker in found.values():
        assert worker.age_seconds >= before[worker.name].age_seconds
        assert (worker.phase, worker.pending_code) == ("unreachable" if worker.node == "a" else "", None)
        assert worker.detail.startswith("Its host cannot be asked (") is (worker.node == "a")
    await proxy.listen()
    async with asyncio.timeout(60):
        while any(worker.phase for worker in await executor.list()):
            await asyncio.sleep(0.05)


async def test_without_a_host_that_answers_nobody_knows_how_many_workers_run(
    host: Machine, other: Machine, make: Maker, proxy: Proxy
) -> None:
    executor = make(host.entry(proxy.port), other.entry())
    await executor.start("linux-1-1")
    await proxy.refuse()
    other.stop()

    with pytest.raises(TemporaryError, match="1 worker ran there when last seen"):
        await executor.list()
    with pytest.raises(TemporaryError, match="1 worker ran there when last seen"):
        await executor.start("linux-2-1")
    with pytest.raises(TemporaryError):
        await executor.describe("linux-9-9")


async def test_what_was_seen_before_another_scaler_decided_counts_no_more(
    host: Machine, other: Machine, make: Maker, proxy: Proxy
) -> None:
    executor = make(host.entry(proxy.port), other.entry())
    await executor.list()
    await proxy.refuse()
    assert await executor.list() == ()

    executor.forget()

    with pytest.raises(TemporaryError, match="The host a of the pool linux cannot be asked"):
        await executor.list()


async def test_one_unreachable_host_hides_no_workers_of_another_pool(
    host: Machine, other: Machine, proxy: Proxy
) -> None:
    table = {"known_hosts": other.entry().known_hosts, "connect_seconds": 60}
    pools = [
        PoolConfig(name=name, executor="ssh", ssh=SshPool.model_validate({"hosts": (entry,), **table}))
        for name, entry in (("linux", host.entry(proxy.port)), ("arm", other.entry()))
    ]
    await proxy.refuse()
    made = open_executors(pools, load_settings(data_dir=host.data_dir), {}, SystemClock())

    with pytest.raises(TemporaryError, match="The host a of the pool linux cannot be asked"):
        await made["linux"].list()
    async with asyncio.timeout(60):
        while True:  # its questions have the product's deadline, and this machine may be slow
            with suppress(TemporaryError):
                assert await made["arm"].list() == ()
                break
    for executor in made.values():
        await executor.aclose()


async def test_a_host_that_was_never_seen_may_have_workers(
    host: Machine, other: Machine, make: Maker, proxy: Proxy
) -> None:
    await proxy.refuse()

    with pytest.raises(TemporaryError, match="The host a of the pool linux cannot be asked"):
        await make(host.entry(proxy.port), other.entry()).list()


async def test_what_was_seen_long_ago_counts_no_more(
    host: Machine, make: Maker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = make(host.entry(proxy.port))
    await executor.list()
    await proxy.refuse()
    assert await executor.list() == ()

    monkeypatch.setattr(ssh_memory, "KNOWN_SECONDS", -1.0)

    with pytest.raises(TemporaryError, match="cannot be asked"):
        await executor.list()


async def test_two_hosts_that_are_one_folder_are_told(host: Machine, make: Maker, proxy: Proxy) -> None:
    twin = host.entry(proxy.port).model_copy(update={"name": "twin"})

    with pytest.raises(TemporaryError, match="The hosts a and twin of the pool linux share one data_dir"):
        await make(host.entry(), twin).list()


async def test_a_name_of_another_pool_is_refused(host: Machine, make: Maker) -> None:
    with pytest.raises(InvalidRequest, match="There is no pool windows with the executor ssh"):
        await make(host.entry()).start("windows-1-1")


# ------------------------------------------------------------------------------------------------ connections


async def test_a_host_that_hangs_is_an_error_in_bounded_time_and_is_asked_again_later(
    host: Machine, make: Maker, proxy: Proxy
) -> None:
    patient = make(host.entry(proxy.port))
    await patient.start("linux-1-1")
    hurried = make(host.entry(proxy.port), answer_seconds=1.0)
    await answered(hurried)
    proxy.freeze()

    for _ in range(4):  # more than it takes to drop the connection and make it anew
        with pytest.raises(TemporaryError, match=r"did not answer within 1 s|no connection stands yet|lost"):
            await hurried.list()

    proxy.thaw()
    await answered(hurried)
    assert [worker.name for worker in await hurried.list()] == ["linux-1-1"]


async def test_a_lost_connection_is_renewed_and_workers_do_not_notice(host: Machine, make: Maker, proxy: Proxy) -> None:
    executor = make(host.entry(proxy.port))
    await executor.start("linux-1-1")
    before = await pid_of(executor)

    proxy.cut()
    await answered(executor)

    assert await pid_of(executor) == before


async def test_a_followed_log_loses_and_doubles_no_line_when_connections_break(
    host: Machine, make: Maker, proxy: Proxy
) -> None:
    executor = make(host.entry(proxy.port), behaviour="wait")
    await executor.start("linux-1-1")
    log = host.data_dir / "workers/linux-1-1/agent.log"
    heard = b""
    async with aclosing(executor.logs("linux-1-1", follow=True)) as pieces:
        heard += await anext(pieces)
        for number in range(3):
            with log.open("ab") as writer:
                writer.write(b"%d:" % number)  # half a line: it comes when it is whole
                writer.flush()
                proxy.cut()
                writer.write(b" one\n%d: two\n" % number)
            while f"{number}: two\n".encode() not in heard:
                heard += await anext(pieces)
        os.kill(await pid_of(executor), signal.SIGTERM)
        async for piece in pieces:
            heard += piece

    assert heard == log.read_bytes()
    assert heard.count(b"\n") == 7


async def test_after_a_refused_connection_the_next_attempt_waits(host: Machine, make: Maker, proxy: Proxy) -> None:
    executor = make(host.entry(proxy.port))
    await proxy.refuse()
    with pytest.raises(TemporaryError, match="Connection refused"):
        await executor.list()
    await proxy.listen()

    with pytest.raises(TemporaryError, match="Connection refused"):
        await executor.list()  # told from memory: the pause is not over

    await answered(executor)


async def test_a_folder_that_vanished_under_a_running_worker_is_noticed_as_nobody_there(
    host: Machine, make: Maker
) -> None:
    executor = make(host.entry())
    await executor.start("linux-1-1")
    pid = await pid_of(executor)
    shutil.rmtree(host.data_dir / "workers")

    with pytest.raises(TemporaryError, match="workers: No such file or directory"):
        await executor.list()

    os.kill(pid, signal.SIGKILL)
    await ended(pid)
