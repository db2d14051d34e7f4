"""What is special about the embedded broker: its file, its sleepers and its dead."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from buildyard.broker import sqlite_statements as statements
from buildyard.broker.sqlite import SqliteBroker
from buildyard.errors import BrokerUnavailable
from buildyard.ports import Channel, ChannelKind
from tests.contract.rigs import PATIENCE, nothing_comes, take, take_one

WORK = Channel("jobs.linux", ChannelKind.WORK)
NEWS = Channel("news", ChannelKind.BROADCAST)
SOON = 0.05
NEVER = 3600.0


@contextlib.asynccontextmanager
async def opened(
    folder: Path, *, look_seconds: float = NEVER, busy_seconds: float = 3.0
) -> AsyncIterator[SqliteBroker]:
    broker = SqliteBroker(str(folder / "broker.sqlite"), look_seconds=look_seconds, busy_seconds=busy_seconds)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


async def addresses(broker: SqliteBroker) -> set[Path]:
    """Where members are woken."""
    members = await broker.run(lambda connections: statements.members(connections.quick))
    return {Path(address) for address in members.values()}


async def test_a_sleeping_process_is_woken_and_does_not_poll(tmp_path: Path) -> None:
    async with opened(tmp_path) as publisher, opened(tmp_path) as consumer:
        subscription = await consumer.subscribe(WORK)
        waiting = asyncio.create_task(take_one(subscription))
        assert await nothing_comes(subscription)
        began = time.monotonic()
        await publisher.publish(WORK, [b"a"])
        assert (await waiting).body == b"a"
        assert time.monotonic() - began < 60, "a look comes once an hour here"


async def test_what_a_dead_process_held_goes_to_one_that_already_waits(tmp_path: Path) -> None:
    async with opened(tmp_path, look_seconds=SOON) as broker:
        await broker.declare(WORK)
        await broker.publish(WORK, [b"a"])
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.contract.holder",
            f"sqlite:///{tmp_path / 'broker.sqlite'}",
            WORK.name,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"a\n"
        (address,) = await addresses(broker)
        waiting = asyncio.create_task(take_one(await broker.subscribe(WORK)))
        assert (await broker.depth(WORK)).unacked == 1
        process.kill()
        await process.wait()
        again = await waiting
        assert (again.body, again.redelivered) == (b"a", True)
        await again.ack()
        assert (await broker.depth(WORK)).consumers == 1
        assert not address.parent.exists(), "its socket is removed by who buried it"
        assert len(list((tmp_path / "broker.sqlite-members").iterdir())) == 1


async def test_a_living_process_is_never_taken_for_dead(tmp_path: Path) -> None:
    async with opened(tmp_path) as busy, opened(tmp_path) as other:
        await busy.declare(WORK)
        await busy.publish(WORK, [b"a"])
        held = await take_one(await busy.subscribe(WORK))
        for _ in range(3):
            assert (await other.depth(WORK)).unacked == 1
        assert await nothing_comes(await other.subscribe(WORK))
        await held.ack()
        assert (await other.depth(WORK)).unacked == 0


async def test_a_process_taken_for_dead_joins_again(tmp_path: Path) -> None:
    async with opened(tmp_path, look_seconds=SOON) as broker, opened(tmp_path) as other:
        subscription, news = await broker.subscribe(WORK), await broker.subscribe(NEWS)
        await other.publish(WORK, [b"a"])
        held = await take_one(subscription)
        (lock,) = (tmp_path / "broker.sqlite-members").iterdir()
        lock.unlink()
        assert (await other.depth(WORK)).ready == 1
        with pytest.raises(BrokerUnavailable):
            await held.ack()
        with pytest.raises(BrokerUnavailable):
            await held.ack()
        again = await take_one(subscription)
        assert (again.body, again.redelivered) == (b"a", True)
        async with asyncio.timeout(PATIENCE):
            while await nothing_comes(news):
                await other.publish(NEWS, [b"news"])
        await again.ack()
        assert await other.depth(WORK) == await broker.depth(WORK)


async def test_a_removed_socket_is_made_anew(tmp_path: Path) -> None:
    async with opened(tmp_path, look_seconds=SOON) as broker, opened(tmp_path) as other:
        subscription = await broker.subscribe(WORK)
        (old,) = await addresses(other)
        old.unlink()
        old.parent.rmdir()
        async with asyncio.timeout(PATIENCE):
            while await addresses(other) == {old}:
                await asyncio.sleep(SOON)
        (new,) = await addresses(other)
        assert new.is_socket()
        await other.publish(WORK, [b"a"])
        assert (await take_one(subscription)).body == b"a"


async def test_a_locked_file_is_unavailable_and_later_usable(tmp_path: Path) -> None:
    async with opened(tmp_path, busy_seconds=0.1) as broker:
        subscription, _ = await broker.subscribe(WORK), await broker.subscribe(NEWS)
        await broker.publish(WORK, [b"a", b"b"])
        first = await take_one(subscription)
        with contextlib.closing(sqlite3.connect(tmp_path / "broker.sqlite", isolation_level=None)) as rude:
            rude.execute("BEGIN IMMEDIATE")
            for channel in (WORK, NEWS):
                with pytest.raises(BrokerUnavailable, match="locked"):
                    await broker.publish(channel, [b"c"])
            with pytest.raises(BrokerUnavailable):
                await first.ack()
            rude.execute("ROLLBACK")
        await first.ack()
        assert (await take_one(subscription)).body == b"b"
        assert (await broker.depth(WORK)).ready == 0


async def test_a_full_disk_is_unavailable_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as broker:
        await broker.declare(WORK)
        await broker.publish(WORK, [b"a"])
        pages = await broker.run(lambda connections: connections.durable.execute("PRAGMA page_count").fetchone()[0])
        await broker.run(lambda connections: connections.durable.execute(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(BrokerUnavailable, match="full"):
            await broker.publish(WORK, [b"small", bytes(1_000_000)])
        assert (await broker.depth(WORK)).ready == 1
        await broker.run(lambda connections: connections.durable.execute("PRAGMA max_page_count = 1000000"))
        await broker.publish(WORK, [b"b"])
        found = await take(await broker.subscribe(WORK, prefetch=9), 2)
        assert [delivery.body for delivery in found] == [b"a", b"b"]


async def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broker.sqlite"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(BrokerUnavailable):
        await SqliteBroker(str(path)).open()
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE something (else_ TEXT)")
    with pytest.raises(BrokerUnavailable, match="no broker file"):
        await SqliteBroker(str(path)).open()
    with pytest.raises(BrokerUnavailable):
        await SqliteBroker(str(path / "below a file" / "broker.sqlite")).open()


async def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    brokers = [SqliteBroker(str(tmp_path / "new" / "broker.sqlite")) for _ in range(8)]
    await asyncio.gather(*(broker.open() for broker in brokers))
    await asyncio.gather(*(broker.declare(WORK) for broker in brokers))
    await asyncio.gather(*(broker.publish(WORK, [b"a"]) for broker in brokers))
    assert (await brokers[0].depth(WORK)).ready == 8
    await asyncio.gather(*(broker.close() for broker in brokers))


async def test_a_deep_folder_does_not_make_the_socket_path_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a long name " * 10) / ("and another one " * 10)
    deep.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    async with opened(deep) as publisher, opened(deep) as consumer:
        subscription = await consumer.subscribe(WORK)
        await publisher.publish(WORK, [b"a"])
        assert (await take_one(subscription)).body == b"a"


async def test_the_socket_lies_in_a_private_folder_and_goes_with_its_process(tmp_path: Path) -> None:
    async with opened(tmp_path) as broker:
        await broker.subscribe(WORK)
        (address,) = await addresses(broker)
        status = address.parent.stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o700, os.geteuid())
    assert not address.parent.exists()
    assert list((tmp_path / "broker.sqlite-members").iterdir()) == []


async def test_a_consumer_that_pauses_keeps_no_message_from_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as pausing, opened(tmp_path) as other:
        unsuited = await pausing.subscribe(WORK)
        waiting = await other.subscribe(WORK)
        await other.publish(WORK, [b"a"])
        await (await take_one(unsuited)).release()
        assert (await take_one(waiting)).body == b"a"


async def test_old_copies_leave_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as broker:
        subscription = await broker.subscribe(NEWS)
        await broker.publish(NEWS, [b"old"])
        assert (await take_one(subscription)).body == b"old"
        await broker.run(lambda connections: connections.quick.execute("UPDATE broadcast SET at = at - 100"))
        await broker.publish(NEWS, [b"new"] * 300)
        rows = await broker.run(
            lambda connections: connections.quick.execute(
                "SELECT count(*) FROM broadcast WHERE body = 'old'"
            ).fetchone()
        )
        assert rows == (0,)
