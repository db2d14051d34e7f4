"""`python -m scaler simulate`: options, tables, pictures, and loads out of what a farm did."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring

from buildyard.contracts.scaling import WorkerState
from buildyard.errors import InvalidSettings
from scaler.loads import of_builds, of_file, start_times
from scaler.plots import peaks, terminal
from scaler.simulate import Farm, Job, Sample, simulate
from scaler.simulating import policy_of
from scaler.verbs import run
from tests.scaler.fakes import START, build_summary
from tests.scaler.observing import crowd, observed
from tests.scaler.test_why import decided

LOAD = "arrival,duration\n0,5\n0,5\n30,2.5\n"


def test_policies_stand_side_by_side_as_a_table_a_plot_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "plot.svg"
    words = ["simulate", "--load", "heavy", "--hours", "0.2", "--price", "0.5", "--svg", str(picture)]

    assert run([*words, "--policy", "burst:burst_size=2", "--policy", "elastic"]) == 0
    told = capsys.readouterr().out
    assert "WAIT P95" in told
    assert "COST" in told
    assert [line.split()[0] for line in told.splitlines()[2:4]] == ["burst:burst_size=2", "elastic"]
    assert "elastic workers" in told
    tree = fromstring(picture.read_text())
    assert tree.tag.endswith("svg")
    assert len([one for one in tree if one.tag.endswith("polyline")]) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.svg"]


def test_a_load_of_ones_own_comes_from_a_csv_and_the_answer_goes_to_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "load.csv"
    file.write_text(LOAD)

    assert run(["simulate", "--load", str(file), "--start-seconds", "1,2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["jobs"], [one["policy"] for one in told["policies"]]) == (3, ["burst", "elastic"])
    assert [one["unserved"] for one in told["policies"]] == [0, 0]


@pytest.mark.parametrize(
    "words",
    [
        ["--load", "nonsense"],
        ["--policy", "nonsense"],
        ["--policy", "burst:nonsense=1"],
        ["--policy", "burst:burst_size"],
        ["--policy", "burst:burst_size=0"],
        ["--hours", "0"],
        ["--hours", "inf"],
        ["--per-hour", "nan"],
        ["--per-hour", "1e12"],
        ["--start-seconds", "a"],
        ["--start-seconds", "-1"],
        ["--load", "burst", "--hours", "0.1", "--svg", "/nowhere/plot.svg"],
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert "Traceback" not in told


@pytest.mark.parametrize("text", ["", "arrival\n1\n", "arrival,duration\n1,x\n", "arrival,duration\n-1,1\n"])
def test_a_load_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "load.csv"
    file.write_text(text)
    if not text:
        assert of_file(file) == ()
        return
    with pytest.raises(InvalidSettings, match="load"):
        of_file(file)


def test_a_history_is_what_was_asked_for_and_how_long_it_ran() -> None:
    builds = [build_summary(7.5), build_summary(None), build_summary(3)]
    builds[2] = builds[2].model_copy(update={"created_at": START + timedelta(seconds=90)})

    assert of_builds(builds) == (Job(0, 7.5), Job(90, 3))
    assert of_builds(builds, START + timedelta(seconds=60)) == (Job(30, 3),)


def test_start_times_are_learned_from_decisions() -> None:
    idle = crowd(WorkerState.IDLE)
    seen = [decided(observed(ready=1), seconds=0), decided(observed(workers=idle), seconds=2.5)]

    assert start_times(seen) == (2.5,)
    assert start_times(seen[1:]) == ()


def test_a_policy_is_named_with_its_numbers() -> None:
    name, policy = policy_of("elastic:drain_seconds=20,max_workers=3")

    assert (name, policy.name, policy.drain_seconds, policy.max_workers) == (
        "elastic:drain_seconds=20,max_workers=3",
        "elastic",
        20,
        3,
    )


def test_a_plot_shows_the_highest_of_each_part_of_the_time() -> None:
    samples = (Sample(0, 0, 0, 0), Sample(10, 5, 1, 0), Sample(11, 1, 1, 1), Sample(95, 0, 0, 0))

    assert peaks(samples, 1, 10, 100) == [0, 5, 1, 1, 1, 1, 1, 1, 1, 1]


def test_a_terminal_without_unicode_gets_a_plot_too() -> None:
    outcome = simulate((Job(0, 5),), policy_of("burst")[1], Farm())

    assert all(line.isascii() for line in terminal([("burst", outcome)], 60, ascii_only=True))
