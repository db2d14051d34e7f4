from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from buildyard.contracts.builds import StageName
from buildyard.contracts.messages import LOG_LINES, LogStored, read_message
from buildyard.ports import LOGS
from tests.scaler.fakes import FakeClock
from tests.worker.fakes import FailingObjects, Rig, job_spec, rig_of
from worker.logs import SEGMENT_BYTES
from worker.process import RawLines


def _raw(*texts: str) -> RawLines:
    return [(text.encode(), 0) for text in texts]


async def _seen(rig: Rig, count: int) -> list[int]:
    async with asyncio.timeout(60):
        while True:
            shown = [read_message(LOG_LINES, body) for channel, body in rig.broker.published if channel == LOGS]
            numbers = [line.n for message in shown for line in message.lines]
            if len(numbers) >= count:
                return numbers
            await asyncio.sleep(0.01)


async def test_every_line_is_numbered_without_gaps_across_segments(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec())
    log = rig.attempt.log
    log.open()
    for batch in range(200):
        await log.write(StageName.BUILD, _raw(*(f"{batch} {'x' * 200}" for _ in range(30))))
    await log.note(StageName.TEST, "two\nlines")
    await log.close()

    lines = await rig.log_lines()
    stored = rig.reports.of(LogStored)
    assert [line["n"] for line in lines] == list(range(1, 6003))
    assert len(stored) > 3
    assert [report.first for report in stored] == [1, *(report.last + 1 for report in stored[:-1])]
    assert stored[-1].last == log.lines == 6002
    assert stored[0].size_bytes >= SEGMENT_BYTES
    assert stored[-1].stages == (StageName.BUILD, StageName.TEST)
    assert [line["text"] for line in lines[-2:]] == ["» two", "» lines"]
    assert lines[-1]["stage"] == "test"


async def test_a_line_is_shown_soon_and_stored_after_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = rig_of(tmp_path, job_spec())
    log = rig.attempt.log
    clock = FakeClock()
    monkeypatch.setattr(log, "_clock", clock)
    log.open()
    await log.write(StageName.BUILD, _raw("hello"))

    assert await _seen(rig, 1) == [1]
    assert rig.reports.sent == []
    clock.seconds += 1
    async with asyncio.timeout(60):
        while not rig.reports.of(LogStored):
            await asyncio.sleep(0.02)
    await log.write(StageName.BUILD, _raw("again"))
    assert await _seen(rig, 2) == [1, 2]
    await log.close()


async def test_a_flood_shows_the_newest_lines_only_and_stores_all(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec())
    log = rig.attempt.log
    log.open()
    await log.write(StageName.BUILD, _raw(*(str(number) for number in range(5000))))
    await log.close()

    shown = await _seen(rig, 1)
    assert shown == list(range(4801, 5001))
    assert len(await rig.log_lines()) == 5000


async def test_a_store_that_comes_back_loses_nothing(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(), objects=FailingObjects(2))
    log = rig.attempt.log
    log.open()
    await log.write(StageName.BUILD, _raw("kept"))
    await log.close()

    assert [line["text"] for line in await rig.log_lines()] == ["kept"]
    assert log.lost == 0


async def test_while_the_store_is_away_the_writer_waits_instead_of_filling_memory(tmp_path: Path) -> None:
    objects = FailingObjects(1_000_000)
    rig = rig_of(tmp_path, job_spec(), objects=objects)
    log = rig.attempt.log
    log.open()
    taken = 0

    async def write_for_ever() -> None:
        nonlocal taken
        while True:
            await log.write(StageName.BUILD, _raw(*("x" * 1000 for _ in range(100))))
            taken += 1

    writing = asyncio.create_task(write_for_ever())
    async with asyncio.timeout(60):
        while objects.tried < 2:  # the second try comes a good while after the backlog was full
            await asyncio.sleep(0.01)

    assert taken * 100_000 < 5 * SEGMENT_BYTES
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    objects.failures = 0
    await log.close()
    assert len(await rig.log_lines()) == log.lines


async def test_beyond_its_limit_lines_are_counted_and_not_kept(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(), log_limit=10_000)
    log = rig.attempt.log
    log.open()
    await log.write(StageName.BUILD, _raw(*("x" * 100 for _ in range(1000))))
    await log.close()

    lines = await rig.log_lines()
    assert len(lines) == log.lines < 100
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    dropped = 1000 - (len(lines) - 1)
    assert f"{dropped} more lines ({dropped * 100:,} bytes) were not kept" in lines[-1]["text"]


async def test_a_store_that_stays_away_loses_lines_and_counts_them(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, job_spec(), objects=FailingObjects(1_000_000), log_patience=0)
    log = rig.attempt.log
    log.open()
    await log.write(StageName.BUILD, _raw("lost", "too"))
    await log.close()

    assert log.lost == 2
    assert rig.reports.of(LogStored) == []
