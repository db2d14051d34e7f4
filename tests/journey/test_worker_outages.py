"""Workers without their broker: nothing finished is done again, and a worker cut off from everybody leaves."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from buildyard.cli.local import READY_SECONDS
from tests.journey.faulty_yard import agent_log, cuttable, exit_code, open_faulty_yard, said
from tests.journey.test_faults import gone
from tests.journey.yard import Yard, json_lines, make_project, until, zipped
from tests.servers import need
from worker.app import EXIT_UNREACHABLE

pytestmark = [pytest.mark.journey]

ROWS = 30
HELD, UNHELD = "all guards", "without hold"
HANDLER = """
import json, sys, time
for line in sys.stdin:
    row = json.loads(line)["row"]
    with open({ledger!r}, "a") as ledger:
        ledger.write(f"{{row}}\\n")
    time.sleep(0.15)
    print(json.dumps({{"row": row}}), flush=True)
"""


def handled(folder: Path, name: str) -> Path:
    """Where each row that is begun leaves its number."""
    return folder / name.replace(" ", "-")


async def test_in_an_outage_a_crash_repeats_only_the_row_in_hand_and_who_is_cut_off_from_all_stops_and_leaves(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("make")
    gate, mark = tmp_path / "gate", f"sleep 76{os.getpid()}"
    async with (
        cuttable(where, tmp_path) as (env, broker),
        open_faulty_yard(tmp_path, {**env, "BUILDYARD_ORPHAN_GRACE_SECONDS": "3"}, max_workers=3) as yard,
    ):
        long = await yard.submit(make_project(f"test -e {gate} || {mark}"))
        await yard.stage(long, "Build")
        batches = {name: await _batch(yard, name) for name in (HELD, UNHELD)}
        for batch in batches.values():
            await _some_rows(yard, batch)
        busy = {one.build_id: one for one in (await yard.producer.agents()).agents if one.build_id}
        await broker.cut()
        try:
            await said(handled(tmp_path, UNHELD), f"{ROWS}\n")  # the other one had as much time
            for batch in batches.values():
                await said(agent_log(yard, busy[batch].name), "reports wait for the broker")
                os.kill(busy[batch].pid, signal.SIGKILL)

            await yard.farm.producer.stop(0)
            orphan = busy[long].name
            await said(agent_log(yard, orphan), "Neither the broker nor the producer could be reached for 3 seconds.")
            await gone(mark)
            await until(lambda: _ended(yard, orphan))
            gate.touch()
        finally:
            await broker.mend()
        await yard.farm.producer.start(READY_SECONDS)

        reruns = {name: await _reruns(yard, name, batch) for name, batch in batches.items()}
        assert reruns[HELD] <= 1, "a row ran again whose result was there"
        assert reruns[UNHELD] > 1, "without the hold this test sees what it looks for"
        status = await yard.end(long)
        assert status.status == "Succeeded", status.reason
        assert [attempt.outcome for attempt in status.attempts] == ["Lost", "Succeeded"]
        assert exit_code(yard, orphan) == EXIT_UNREACHABLE


async def _reruns(yard: Yard, name: str, batch: str) -> int:
    """How many rows ran a second time; each row has to have one result."""
    status = await yard.end(batch)
    assert status.status == "Succeeded", status.reason
    runs = Counter(int(line) for line in handled(yard.folder, name).read_text().split())
    assert set(runs) == set(range(1, ROWS + 1))
    results = await yard.verified(batch, yard.folder / "out" / name)
    assert [one["row"] for one in json_lines(results["results.jsonl"])] == list(range(1, ROWS + 1))
    return sum(runs.values()) - ROWS


async def _batch(yard: Yard, name: str) -> str:
    project = zipped(
        {
            "buildyard.toml": '[batch]\nrows = "rows.csv"\nrun = ["python", "handler.py"]\n',
            "rows.csv": "n\n" + "\n".join(str(number) for number in range(ROWS)) + "\n",
            "handler.py": HANDLER.format(ledger=str(handled(yard.folder, name))),
        }
    )
    return await yard.submit(project, projectName=name, rowsPerJob=str(ROWS))


async def _some_rows(yard: Yard, build: str) -> None:
    async def recorded() -> bool:
        rows = (await yard.producer.build(build)).rows
        return rows is not None and rows.succeeded > 2

    await until(recorded)


async def _ended(yard: Yard, agent: str) -> bool:
    return exit_code(yard, agent) is not None
