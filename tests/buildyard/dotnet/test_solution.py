from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.dotnet.solution import Solution, SolutionProject, read_filter, read_solution
from buildyard.errors import InvalidRequest
from tests.buildyard.dotnet.solutions import SLN, SLNX


def project(solution: Solution, path: str) -> SolutionProject:
    return next(entry for entry in solution.projects if entry.path == path)


def test_a_sln_is_read_through_bom_line_ends_and_backslashes() -> None:
    solution = read_solution("sln/Shop.sln", SLN)

    assert [(entry.path, entry.name) for entry in solution.projects] == [
        ("src/Api/Api.csproj", "Api"),
        ("sln/Core/Core.csproj", "Core"),
        ("sln/other/Core.csproj", "Core"),
    ]
    assert solution.configurations == ("Debug|Any CPU", "Release|x64")


def test_a_sln_tells_folders_and_build_dependencies() -> None:
    solution = read_solution("sln/Shop.sln", SLN)

    assert project(solution, "sln/Core/Core.csproj").folder == "/src/core/"
    assert project(solution, "sln/other/Core.csproj").folder == "/"
    assert solution.folders == ("/src/", "/src/core/")
    assert project(solution, "src/Api/Api.csproj").depends_on == ("sln/Core/Core.csproj",)


def test_a_sln_tells_where_a_project_is_built() -> None:
    api = project(read_solution("sln/Shop.sln", SLN), "src/Api/Api.csproj")

    assert api.builds_in("debug", "AnyCPU")
    assert not api.builds_in("Release", "x64")
    without_table = SLN.replace("ProjectConfigurationPlatforms", "SomethingElse")
    assert project(read_solution("sln/Shop.sln", without_table), "src/Api/Api.csproj").builds_in("Release", "x64")


def test_entries_that_are_nothing_in_the_source_are_told() -> None:
    problems = read_solution("sln/Shop.sln", SLN).problems

    assert len(problems) == 3
    assert "'http://localhost/web' is not relative" in problems[0]
    assert r"'..\\..\\..\\etc\\x.csproj' leads outside the source" in problems[1]
    assert problems[2] == "sln/Shop.sln names sln/Core/Core.csproj more than once."


def test_folders_in_a_circle_end() -> None:
    nested = "\t\t{A002} = {F002}"
    circle = SLN.replace(nested, f"{nested}\n\t\t{{F001}} = {{F002}}")

    assert circle != SLN
    assert project(read_solution("sln/Shop.sln", circle), "sln/Core/Core.csproj").folder == "/src/core/"


def test_an_slnx_tells_the_same() -> None:
    solution = read_solution("Shop.slnx", SLNX)

    core, api = solution.projects
    assert (core.path, core.name, core.folder) == ("src/core/Core.csproj", "The core", "/src/core/")
    assert (api.path, api.name, api.depends_on) == ("src/Api/Api.csproj", "Api", ("src/core/Core.csproj",))
    assert solution.configurations == ("Debug|Any CPU", "Debug|x64", "Release|Any CPU", "Release|x64")
    assert "'../outside.csproj' leads outside the source" in solution.problems[0]


@pytest.mark.parametrize(
    ("configuration", "platform", "builds"),
    [("Debug", "Any CPU", False), ("Release", "AnyCPU", True), ("release", "x64", False)],
)
def test_the_last_rule_of_an_slnx_that_fits_decides(configuration: str, platform: str, *, builds: bool) -> None:
    core = read_solution("Shop.slnx", SLNX).projects[0]

    assert core.builds_in(configuration, platform) is builds


def test_an_slnx_without_configurations_has_the_usual_ones() -> None:
    solution = read_solution("a.slnx", "\ufeff<?xml version='1.0'?><Solution><Project Path='a.csproj'/></Solution>")

    assert solution.configurations == ("Debug|Any CPU", "Release|Any CPU")


def test_a_filter_keeps_what_it_names() -> None:
    text = json.dumps({"solution": {"path": r"..\Shop.slnx", "projects": [r"src\Api\Api.csproj", "gone.csproj"]}})

    narrowed = read_filter("filters/api.slnf", text)
    solution = narrowed.apply(read_solution("Shop.slnx", SLNX))

    assert narrowed.solution == "Shop.slnx"
    assert [entry.path for entry in solution.projects] == ["src/Api/Api.csproj"]
    assert solution.problems[-1] == "filters/api.slnf names gone.csproj, which is not in Shop.slnx."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"solution": 3}',
        '{"solution": {"path": 3, "projects": []}}',
        '{"solution": {"path": "a.sln", "projects": [3]}}',
        '{"solution": {"path": "/etc/a.sln", "projects": []}}',
        '{"solution": {"path": "a.sln", "projects": ["../x.csproj"]}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read_filter("a.slnf", text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.sln", ""),
        ("a.sln", "<Solution/>"),
        ("a.slnx", "<Project/>"),
        ("a.slnx", "Microsoft Visual Studio Solution File"),
        ("a.slnx", '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Solution>&b;</Solution>'),
        ("a.slnx", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><Solution>&a;</Solution>'),
        ("a.slnx", "<Solution>" + "<Folder>" * 500 + "</Folder>" * 500 + "</Solution>"),
        ("a.slnx", " " * (17 * 2**20)),
    ],
)
def test_what_is_no_solution_is_refused(path: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^a\.slnx? "):
        read_solution(path, text)


_LINES = st.lists(st.sampled_from([*SLN.splitlines(), '= "', "Project(", "EndProject", "=", "{"]), max_size=30)


@given(_LINES, st.text(max_size=50))
def test_no_sln_crashes_the_reader(lines: list[str], noise: str) -> None:
    text = "\n".join(["Microsoft Visual Studio Solution File", *lines, noise])

    solution = read_solution("s/a.sln", text)

    assert len({entry.path for entry in solution.projects}) == len(solution.projects)
    assert not any(".." in entry.path.split("/") or entry.path.startswith("/") for entry in solution.projects)


@given(st.text(max_size=80), st.integers(0, len(SLNX)), st.sampled_from(["a.sln", "a.slnx", "a.slnf"]))
def test_noise_is_refused_or_read(noise: str, cut: int, path: str) -> None:
    text = SLNX[:cut] + noise + SLNX[cut:]
    with suppress(InvalidRequest):
        if path.endswith(".slnf"):
            read_filter(path, noise)
        else:
            read_solution(path, text)


@pytest.mark.parametrize("part", [" ", '"', 'Project("', "= ", "\t", ","])
def test_a_hostile_line_is_read_in_no_time(part: str) -> None:
    started = time.process_time()

    read_solution("a.sln", 'Microsoft Visual Studio Solution File\nProject("{x}")' + part * (500_000 // len(part)))

    assert time.process_time() - started < 2
