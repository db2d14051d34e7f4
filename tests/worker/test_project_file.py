"""What a `buildyard.toml` asks of a build beside its commands: tasks before stages, limits, a suited agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, ReasonCode, StageName
from buildyard.contracts.messages import StageFinished
from buildyard.contracts.needs import Needs
from buildyard.project.reading import read_buildyard_toml
from tests.worker.fakes import Rig, upload_rig, zipped
from tests.worker.toolchains.trees import context, tree
from worker.pipeline import plan_stage
from worker.toolchains.make import MakeToolchain

TASKS = """
[tasks.fetch]
commands = [["sh", "-c", "echo fetched >> order.txt"]]
[tasks.generate]
commands = [["sh", "-c", "echo generated >> order.txt"]]
needs = ["fetch"]
[stages.build]
needs = ["generate"]
[stages.test]
needs = ["fetch", "late"]
[tasks.late]
commands = [["sh", "-c", "echo late >> order.txt"]]
"""
MAKEFILE = "all:\n\t@echo built >> order.txt\ntest:\n\t@cat order.txt\n"


def stage_of(rig: Rig, stage: StageName) -> StageFinished:
    [found] = [report for report in rig.reports.of(StageFinished) if report.stage is stage]
    assert isinstance(found, StageFinished)
    return found


async def test_tasks_run_once_before_the_first_stage_that_needs_them(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": TASKS, "Makefile": MAKEFILE}))

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    lines = [str(line["text"]) for line in await rig.log_lines()]
    assert [line for line in lines if line in {"fetched", "generated", "built", "late"}] == [
        "fetched",
        "generated",
        "built",
        "late",
    ]


async def test_a_task_that_fails_ends_the_build_with_its_name(tmp_path: Path) -> None:
    config = "[tasks.generate]\ncommands = [['false']]\n[stages.build]\nneeds = ['generate']\n"
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": config, "Makefile": MAKEFILE}))

    finished = await rig.run()

    assert finished.reason == "Build: `generate: false` failed with exit code 1."


def test_tasks_run_where_the_toolchain_has_nothing_to_do_but_not_where_the_stage_is_left_out() -> None:
    source = tree("Makefile")
    base = context(MakeToolchain(), source)
    needy = "[tasks.a]\ncommands = [['true']]\n[stages.restore]\nneeds = ['a']\n"

    def planned(more: str, done: frozenset[str] = frozenset()) -> tuple[str, ...]:
        plan = plan_stage(
            StageName.RESTORE,
            MakeToolchain(),
            type(base)(**{**vars(base), "config": read_buildyard_toml(needy + more)}),
            done,
        )
        return tuple(command.title for command in plan.commands)

    assert planned("") == ("a: true",)
    assert planned("skip = true\n") == ()
    assert planned("", frozenset({"a"})) == ()


async def test_a_stage_that_takes_longer_than_its_limit_is_stopped(tmp_path: Path) -> None:
    config = "[stages.build]\ncommands = [['sh', '-c', 'echo begun; sleep 600']]\ntimeout_minutes = 0.005\n"
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": config}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.TIMED_OUT, ReasonCode.TIMED_OUT)
    assert finished.reason == "Build was stopped at the limit of 0.005 minutes that buildyard.toml sets it."
    assert ("build", "failed") in rig.reports.stages()


@pytest.mark.parametrize("needs", ['tools = { dotnet = ">=8" }', "memory = '900000 GiB'"])
async def test_a_source_that_needs_what_the_agent_lacks_is_handed_on(tmp_path: Path, needs: str) -> None:
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": f"[needs]\n{needs}\n", "Makefile": MAKEFILE}))

    finished = await rig.run()

    assert (finished.outcome, finished.reason_code) == (Outcome.HANDED_BACK, ReasonCode.HANDED_BACK)
    assert finished.needs == read_buildyard_toml(f"[needs]\n{needs}\n").needs
    assert "linux-1-1 has" in finished.reason
    assert rig.reports.stages()[0] == ("fetch", "cancelled")


async def test_a_source_whose_needs_are_met_is_built(tmp_path: Path) -> None:
    config = "[needs]\ncores = 0.1\nmemory = '1 MiB'\n"
    rig = await upload_rig(tmp_path, zipped({"buildyard.toml": config, "Makefile": MAKEFILE}))

    finished = await rig.run()

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    assert finished.needs is None
    assert Needs() == Needs.model_validate({})


async def test_what_compilers_say_is_told_with_the_stage(tmp_path: Path) -> None:
    printed = "all:\n\t@echo 'src/main.c:3:7: error: no such thing'; echo 'b.c:1:2: warning: odd [-Wodd]'; exit 1\n"
    rig = await upload_rig(tmp_path, zipped({"Makefile": printed}))

    await rig.run()

    build = stage_of(rig, StageName.BUILD)
    assert (build.warnings, build.errors) == (1, 1)
    assert [(one.severity, one.place, one.message, one.code) for one in build.diagnostics] == [
        ("error", "src/main.c:3:7", "no such thing", ""),
        ("warning", "b.c:1:2", "odd", "-Wodd"),
    ]
