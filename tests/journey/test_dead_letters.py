"""A build that kills its own worker is given up after three attempts and waits for a person, who settles it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from buildyard.errors import Conflict
from tests.journey.yard import open_yard, zipped
from tests.servers import need

pytestmark = [pytest.mark.journey]

KILL_THE_WORKER = """
test -e {gate} && exit 0
process=$$
while test "$process" -gt 1; do
    if tr '\\0' ' ' < "/proc/$process/cmdline" | grep -q -e '-m worker'; then
        echo "killing the worker $process"
        kill -9 "$process"
        exit 0
    fi
    process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status")
done
exit 1
"""


def deadly_project(gate: Path) -> bytes:
    """A project whose build kills its worker until the gate is there."""
    return zipped({"Makefile": "all:\n\t@sh kill.sh\n", "kill.sh": KILL_THE_WORKER.format(gate=gate)})


async def test_a_build_that_kills_its_worker_becomes_a_dead_letter_that_is_requeued_or_dropped(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("make")
    gate = tmp_path / "gate"
    async with open_yard(tmp_path, where, "max_workers = 2\nburst_threshold = 0") as yard:
        builds = [await yard.submit(deadly_project(gate), projectName=name) for name in ("cured", "hopeless")]
        for status in await asyncio.gather(*(yard.end(build) for build in builds)):
            assert (status.status, status.reason_code) == ("Failed", "worker_lost"), status.reason
            assert status.reason.startswith("Its worker died 3 times")
            assert [(attempt.number, attempt.outcome) for attempt in status.attempts] == [
                (1, "Lost"),
                (2, "Lost"),
                (3, "Lost"),
            ]
        cured, hopeless = builds
        assert [one.execution_id for one in (await yard.producer.dead_letters()).dead] == [hopeless, cured]
        history = [event.type for event in (await yard.producer.dead_letter(cured)).events]
        assert history.count("attempt_ended") == 3
        assert history[-2:] == ["build_dead", "build_ended"]

        gate.touch()
        accepted = await yard.producer.requeue(cured)
        dropped = await yard.producer.drop(hopeless, "It was written to kill.")

        again = await yard.end(accepted.execution_id)
        assert (again.status, again.retry_of) == ("Succeeded", cured), again.reason
        assert (dropped.letter.resolution, dropped.letter.note) == ("dropped", "It was written to kill.")
        assert (await yard.producer.dead_letters()).dead == ()
        settled = (await yard.producer.dead_letters(settled=True)).dead
        assert [(one.resolution, one.requeued_as) for one in settled] == [
            ("dropped", None),
            ("requeued", accepted.execution_id),
        ]
        with pytest.raises(Conflict):
            await yard.producer.requeue(cured)
