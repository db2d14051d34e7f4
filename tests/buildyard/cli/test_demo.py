"""The demo: what it packs, how it tells progress and results, and once for real."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from buildyard.cli.demo_inputs import ROWS, DemoInput, examples_folder, pack, prepare
from buildyard.cli.demo_report import Result, result_as_json, result_table
from buildyard.cli.demo_watch import phrase, steps, watched
from buildyard.cli.output import Output
from buildyard.client import ProducerClient
from buildyard.contracts.api import ArtifactView, BuildStatus
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply

ROOT = Path(__file__).parents[3]


def _build(**more: Any) -> BuildStatus:
    return BuildStatus.model_validate(answers.status(**more))


def _result(**more: Any) -> Result:
    item = DemoInput("calc", Path("calc.zip"), more.pop("rows_wanted", 0))
    artifacts = more.pop("artifacts", (ArtifactView.model_validate(answers.artifact()),))
    return Result(item, _build(**more), artifacts)


# ---------------------------------------------------------------- inputs


def test_a_machine_with_everything_builds_four_examples(tmp_path: Path) -> None:
    inputs, left_out = prepare(examples_folder(), tmp_path, which=lambda name: f"/usr/bin/{name}")
    assert [item.name for item in inputs] == ["python-project", "csv-rows", "c-project", "dotnet-solution"]
    assert left_out == []
    assert "pyproject.toml" in zipfile.ZipFile(inputs[0].path).namelist()
    rows = list(csv.reader(io.StringIO(inputs[1].path.read_text(encoding="utf-8"))))
    assert len(rows) == ROWS + 1


def test_a_bare_machine_leaves_out_what_it_cannot_build_and_says_so(tmp_path: Path) -> None:
    inputs, left_out = prepare(examples_folder(), tmp_path, which=lambda _name: None)
    assert [item.name for item in inputs] == ["python-project", "csv-rows"]
    assert [(item.name, item.reason) for item in left_out] == [
        ("c-project", "make is not on PATH"),
        ("dotnet-solution", "dotnet is not on PATH"),
    ]


def test_a_machine_with_make_alone_lacks_a_compiler(tmp_path: Path) -> None:
    _, left_out = prepare(examples_folder(), tmp_path, which=lambda name: name if name == "make" else None)
    assert left_out[0].reason == "a C compiler is not on PATH"


def test_a_packed_project_holds_no_leftovers_of_builds(tmp_path: Path) -> None:
    project = tmp_path / "p"
    for path in ("src/a.py", "src/__pycache__/a.pyc", "dist/p.whl", "p.egg-info/x", ".venv/bin/python", "bin/run"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("x")
    assert zipfile.ZipFile(pack(project, tmp_path)).namelist() == ["src/a.py"]


# ---------------------------------------------------------------- progress


def test_steps_are_rows_of_a_batch_and_stages_of_others() -> None:
    stages = [answers.stage(name, state) for name, state in (("Fetch", "Succeeded"), ("Test", "Skipped"))]
    running = _build(status="Running", stages=[*stages, answers.stage("Build", "Running")], currentStage="Build")
    assert steps(running) == (2, 3)
    assert phrase(running) == "Build"
    batch = _build(status="Running", rows={"total": 200, "succeeded": 50, "failed": 1})
    assert steps(batch) == (51, 200)
    assert phrase(batch) == "51 of 200 rows"
    assert phrase(_build(status="Queued")) == "Queued"
    assert phrase(_build()) == "Succeeded after 4.0s"


async def test_without_a_terminal_every_change_is_one_line(
    server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildyard.cli.demo_watch._LOOK_SECONDS", 0)
    done = [0, 10, 20, 60, 200]
    states = iter(
        [
            Reply(body=answers.status(status="Queued")),
            Reply(body=answers.status(status="Queued")),
            Reply(503, pieces=(b"restarting",)),
            *(
                Reply(body=answers.status(status="Running", rows={"total": 200, "succeeded": count, "failed": 0}))
                for count in done
            ),
            Reply(body=answers.status()),
        ]
    )
    server.on("GET", f"/api/v1/builds/{answers.BUILD_ID}", lambda _seen: next(states))
    async with ProducerClient(server.url) as producer:
        ended = await watched(producer, {"calc": answers.BUILD_ID}, Output())
    assert ended["calc"].status == "Succeeded"
    assert capsys.readouterr().err.splitlines() == [
        "calc: Queued",
        "calc: 0 of 200 rows",
        "calc: 60 of 200 rows",
        "calc: 200 of 200 rows",
        "calc: Succeeded after 4.0s",
    ]


# ---------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, ""),
        ({"status": "TimedOut", "reason": "Too long."}, "it ended as TimedOut: Too long."),
        (
            {
                "status": "Failed",
                "reason": "1 of 3 failed.",
                "tests": {"total": 3, "passed": 2, "failed": 1, "failures": [{"name": "test_x"}]},
            },
            "it ended as Failed: 1 of 3 failed. The test test_x fails.",
        ),
        ({"artifacts": ()}, "it made no artifact."),
        (
            {"rows_wanted": 200, "rows": {"total": 200, "succeeded": 199, "failed": 1}},
            "it did 199 rows, not 200.",
        ),
    ],
)
def test_a_result_says_what_is_wrong_with_it(more: dict[str, Any], trouble: str) -> None:
    assert _result(**more).trouble == trouble


def test_the_table_shows_files_with_short_digests(capsys: pytest.CaptureFixture[str]) -> None:
    files = tuple(ArtifactView.model_validate(answers.artifact(name=f"f{n}")) for n in range(6))
    result_table(Output(), [_result(artifacts=files)])
    out = capsys.readouterr().out
    assert "v Succeeded" in out
    assert "2 of 2" in out
    assert "3 of 3" in out
    assert "cdcdcdcdcdcd\n" in out
    assert "and 2 more" in out


def test_a_narrow_terminal_gets_two_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildyard.cli.output._WIDE", 80)
    result_table(Output(), [_result()])
    assert capsys.readouterr().out.count("BUILD") == 2


def test_the_result_is_json_for_programs() -> None:
    whole = json.loads(json.dumps(result_as_json([_result()], [])))
    assert whole["ok"] is True
    assert whole["builds"][0]["artifacts"][0]["verified"] is True


# ---------------------------------------------------------------- for real


def _demo(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [sys.executable, "-m", "buildyard.cli.demo", *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.journey
def test_the_demo_builds_everything_and_leaves_nothing(tmp_path: Path) -> None:
    with _demo(tmp_path, "--json") as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    whole = json.loads(out)
    assert whole["ok"] is True
    assert len(whole["builds"]) >= 2
    assert all(build["artifacts"] for build in whole["builds"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.journey
def test_ctrl_c_in_the_demo_ends_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    with _demo(tmp_path) as process:
        assert process.stderr is not None
        while "builds are submitted" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "everything that was started is stopped" in err
    assert list(tmp_path.iterdir()) == []
