"""A build needs what no worker has: one is started for it, which may have it by now, and not again and again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildyard.contracts.api import BuildRequest
from buildyard.contracts.needs import Needs
from buildyard.contracts.scaling import Decision, DecisionCode
from tests.journey.yard import Yard, make_project, open_yard, until
from tests.servers import need

pytestmark = [pytest.mark.journey]


async def start(yard: Yard, **tools: str) -> str:
    """A build that needs these tools; its id."""
    archive = yard.folder / "project.zip"
    archive.write_bytes(make_project("mkdir -p dist; echo made > dist/made.txt"))
    stored = await yard.producer.store_upload(archive)
    job = {"projectName": "needy", "needs": Needs(tools=tools)}
    return (await yard.producer.start(stored.job_id, BuildRequest.model_validate({"job": job}))).execution_id


def install(folder: Path, version: str) -> None:
    """A program `yarn` that tells its version."""
    program = folder / "yarn"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)


async def test_a_worker_is_tried_for_a_tool_that_was_installed_meanwhile_and_only_one_where_it_was_not(
    tmp_path: Path,
) -> None:
    need("make")
    folder = tmp_path / "tools"
    folder.mkdir()
    path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    async with open_yard(tmp_path, path, "max_workers = 6\nidle_seconds = 3600") as yard:
        assert (await yard.end(await start(yard))).status == "Succeeded"
        install(folder, "99.1.0")

        status = await yard.end(await start(yard, yarn=">=99"))

        assert status.status == "Succeeded", status.reason
        assert status.agent is not None
        assert status.agent.name != "linux-1-1"
        trial = next(one for one in await decisions(yard) if one.plan.code is DecisionCode.TRIAL_WORKER)
        assert trial.plan.start == ("linux-2-1",)
        assert "1 job waits that no worker suits, and a new one may" in trial.plan.reason

        build = await start(yard, yarn=">=100")

        async def given_up() -> bool:
            return any(one.plan.code is DecisionCode.UNSUITED for one in await decisions(yard))

        await until(given_up)
        [pool] = (await yard.producer.pools()).pools
        assert pool.suiting is not None
        assert [(kind.needs, kind.ready, kind.next) for kind in pool.suiting.kinds] == [("yarn >=100", 1, "tried")]
        [why] = (await yard.scaler.why(pool="linux")).answers
        assert any("the newest neither: none starts for them now" in sentence for sentence in why.sentences)
        await yard.producer.cancel(build)
        assert (await yard.end(build)).status == "Cancelled"
        seen = await decisions(yard)
        codes = [one.plan.code for one in seen]
        unsuited = codes.index(DecisionCode.UNSUITED)
        assert codes.index(DecisionCode.TRIAL_WORKER) < unsuited
        assert [one.plan.start for one in seen[unsuited:] if one.plan.start] == []


async def decisions(yard: Yard) -> tuple[Decision, ...]:
    """The oldest first."""
    return (await yard.scaler.decisions(limit=1000)).decisions[::-1]
