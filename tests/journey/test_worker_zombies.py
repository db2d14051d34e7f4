"""A worker that is frozen beyond its lease: another one has its job, and nothing that the first one does counts."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from buildyard.contracts.api import BuildStatus
from tests.journey import faulty_worker
from tests.journey.faulty_yard import agent_log, ledger, marks, open_faulty_yard, said
from tests.journey.yard import Yard, until, zipped
from tests.servers import need

pytestmark = [pytest.mark.journey]

GUARDED, TOLD, BARE, UNFENCED = "all guards", "without freeze", "without freeze told", "without fence"
PROJECTS = (GUARDED, TOLD, BARE, UNFENCED)

RUN = """
trap 'echo "last words $BUILDYARD_ATTEMPT"; exit 1' TERM
echo "start $BUILDYARD_ATTEMPT" >> {ledger}
while ! test -e {gate}; do sleep 0.05; done
echo "end $BUILDYARD_ATTEMPT" >> {ledger}
mkdir -p dist && echo "$BUILDYARD_ATTEMPT" > dist/result.txt
"""


async def test_a_worker_frozen_beyond_its_lease_is_refused_at_every_effect_told_so_and_stops_its_child(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("make")
    gate = tmp_path / "gate"
    async with open_faulty_yard(tmp_path, where, max_workers=2 * len(PROJECTS)) as yard:
        project = zipped({"Makefile": "all:\n\t@sh run.sh\n", "run.sh": RUN.format(ledger=ledger(tmp_path), gate=gate)})
        builds = {name: await yard.submit(project, projectName=name) for name in PROJECTS}
        frozen = {name: await _first_worker(yard, build) for name, build in builds.items()}
        for pid in frozen.values():
            os.kill(pid, signal.SIGSTOP)
        try:
            await until(lambda: _all_taken_over(yard, builds))
            (marks(tmp_path) / faulty_worker.UNFENCED).touch()
        finally:
            for pid in frozen.values():
                os.kill(pid, signal.SIGCONT)
        zombies = {name: (await yard.producer.build(build)).attempts[0] for name, build in builds.items()}
        agents = {name: agent_log(yard, one.agent) for name, one in zombies.items()}
        await said(agents[GUARDED], "reports are refused")
        for name in (GUARDED, TOLD, UNFENCED):
            await _no_child(f"{zombies[name].job_id}/1")
        gate.touch()
        ends = {name: await yard.end(build) for name, build in builds.items()}
        await said(ledger(tmp_path), f"end {zombies[BARE].job_id}/1\n")

        wrong = {name: await _doubled(yard, end, tmp_path / "out" / name) for name, end in ends.items()}

        assert wrong[GUARDED] == []
        log = agents[GUARDED].read_text()
        assert log.index("this process was frozen beyond its lease") < log.index("reports are refused")
        # The same checks go red without the guards: told, it stops too; told nothing, its command runs to its end.
        assert wrong[TOLD] == []
        assert "this process was frozen" not in agents[TOLD].read_text()
        assert "cause=refused" in agents[TOLD].read_text()
        assert wrong[BARE] == ["the command ended in attempts 1, 2"]
        # Without the fence what a zombie says is taken for the word of the attempt that holds the job.
        assert "the attempts ended Lost, Succeeded" not in wrong[UNFENCED]
        assert wrong[UNFENCED] != []


async def _first_worker(yard: Yard, build: str) -> int:
    await yard.stage(build, "Build")
    agent = (await yard.producer.build(build)).agent
    assert agent is not None
    return (await yard.producer.agent(agent.name)).pid


async def _all_taken_over(yard: Yard, builds: dict[str, str]) -> bool:
    statuses = [await yard.producer.build(build) for build in builds.values()]
    ran = ledger(yard.folder).read_text()
    return all(len(one.attempts) > 1 and f"start {one.attempts[1].job_id}/2\n" in ran for one in statuses)


async def _no_child(attempt: str) -> None:
    async def none_left() -> bool:
        return not _marked(f"BUILDYARD_ATTEMPT={attempt}".encode())

    await until(none_left)


def _marked(marker: bytes) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


async def _doubled(yard: Yard, status: BuildStatus, into: Path) -> list[str]:
    """What a zombie did that counts, in sentences."""
    wrong = []
    outcomes = [str(one.outcome) for one in status.attempts]
    if outcomes != ["Lost", "Succeeded"] or status.status != "Succeeded":
        wrong.append(f"the attempts ended {', '.join(outcomes)}")
    job = status.attempts[0].job_id
    ran = [line.split() for line in ledger(yard.folder).read_text().splitlines()]
    ends = sorted(attempt.rpartition("/")[2] for what, attempt in ran if what == "end" and attempt.startswith(job))
    if len(ends) != 1:
        wrong.append(f"the command ended in attempts {', '.join(ends)}")
    log = (await yard.log(status.execution_id)).split("\n")
    if f"last words {job}/1" in log:
        wrong.append("the log holds what the first attempt said after its end")
    if unfinished := [one.name for one in status.stages if one.status not in {"Succeeded", "Skipped"}]:
        wrong.append(f"stages did not succeed: {unfinished}")
    artifacts = await yard.verified(status.execution_id, into)
    if {path: file.read_text().strip() for path, file in artifacts.items()} != {"dist/result.txt": f"{job}/2"}:
        wrong.append(f"the artifacts are {sorted(artifacts)}, not those of attempt 2")
    return wrong
