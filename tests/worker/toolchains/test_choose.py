from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import InvalidRequest, NotFound
from buildyard.project.configuration import BatchSection, BuildyardToml, CallSection
from tests.worker.toolchains.trees import chosen, tree
from worker.toolchains import TOOLCHAINS, choose, wanted
from worker.toolchains.contract import FileTree


def test_a_source_that_fits_several_says_which_was_chosen_and_why() -> None:
    assert chosen(tree("pyproject.toml", "Makefile", "src/a.py")) == (
        "python, because pyproject.toml is at the top; also fits make (Makefile is at the top): "
        "set toolchain in buildyard.toml to choose."
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("App.sln", "pyproject.toml", "Makefile"), "dotnet, because App.sln is at the top"),
        (("requirements.txt", "Makefile"), "make, because Makefile is at the top"),
        (("CMakeLists.txt", "Makefile"), "make, because CMakeLists.txt is at the top"),
        (("Cargo.toml", "Makefile", "requirements.txt"), "cargo, because Cargo.toml is at the top"),
        (("pyproject.toml", "Cargo.toml"), "python, because pyproject.toml is at the top"),
        (("pom.xml", "Makefile", "ui/Cargo.toml"), "maven, because pom.xml is at the top"),
        (("wrapper/setup.py", "wrapper/a/b/c/App.sln"), "python, because setup.py is in wrapper"),
        (("Makefile", "deep/pyproject.toml"), "make, because Makefile is at the top"),
        (("main.py", "test_main.py"), "python, because main.py is at the top"),
        (("src/App/App.csproj",), "dotnet, because App.csproj is in src/App"),
        (("A.sln", "B.slnx"), "dotnet, because A.sln is at the top (one of 2 solutions there; solutionPath chooses)"),
        (("package.json", "gen.py", "Makefile"), "node, because package.json is at the top"),
        (("go.mod", "Makefile", "package.json"), "go, because go.mod is at the top"),
        (("pyproject.toml", "package.json"), "python, because pyproject.toml is at the top"),
        (("web/package.json", "web/yarn.lock"), "node, because package.json is in web with yarn.lock"),
        (("build.gradle", "gen.py", "package.json"), "gradle, because build.gradle is at the top"),
        (("build.gradle", "pom.xml"), "maven, because pom.xml is at the top"),
        (("data.csv",), "batch, because data.csv is all there is"),
    ],
)
def test_the_files_nearest_to_the_top_decide(files: tuple[str, ...], expected: str) -> None:
    assert chosen(tree(*files)).startswith(expected)


@pytest.mark.parametrize(
    "files",
    [(), ("README.md",), ("node_modules/x/Makefile",), (".hidden/pyproject.toml",)],
)
def test_when_nothing_fits_the_sentence_lists_what_was_looked_for(files: tuple[str, ...]) -> None:
    with pytest.raises(NotFound, match=r"No toolchain fits this source; looked for .*pyproject.toml.*Makefile"):
        chosen(tree(*files))


def test_the_request_comes_before_the_file_and_the_file_before_the_best_fit() -> None:
    source = tree("pyproject.toml", "Makefile", "App.sln")
    config = BuildyardToml(toolchain="make")

    assert chosen(source, config) == "make, because buildyard.toml says so (Makefile is at the top)."
    assert chosen(source, config, "dotnet") == "dotnet, because the request asks for it (App.sln is at the top)."


def test_a_call_section_makes_calls_unless_another_toolchain_is_named() -> None:
    call = CallSection(rows="data.csv")
    source = tree("buildyard.toml", "data.csv", "main.py")

    assert chosen(source, BuildyardToml(call=call)).startswith("call, because buildyard.toml has a [call] section;")
    assert chosen(tree("data.csv"), BuildyardToml(call=call)) == "call, because buildyard.toml has a [call] section."
    assert chosen(source, BuildyardToml(call=call, toolchain="python")).startswith("python, because buildyard.toml")
    with pytest.raises(InvalidRequest, match=r"call does not fit .*: \[call\] in buildyard.toml was not found"):
        chosen(tree("data.csv"), BuildyardToml(), "call")


def test_a_batch_section_makes_a_batch_unless_another_toolchain_is_named() -> None:
    batch = BatchSection(rows="data.csv", run=("python", "handler.py"))
    source = tree("buildyard.toml", "data.csv", "handler.py")

    assert chosen(source, BuildyardToml(batch=batch)).startswith("batch, because buildyard.toml has a [batch] section;")
    assert chosen(source, BuildyardToml(batch=batch, toolchain="python")).startswith("python, because buildyard.toml")


def test_a_toolchain_that_is_unknown_or_does_not_fit_is_refused() -> None:
    with pytest.raises(
        InvalidRequest, match="The toolchain 'rust' is unknown; there are batch, call, dotnet, python, cargo, "
    ):
        chosen(tree("Cargo.toml"), asked="rust")
    with pytest.raises(
        InvalidRequest, match=r"dotnet does not fit this source: a .NET solution or project was not found"
    ):
        chosen(tree("Makefile"), asked="dotnet")


def test_only_small_deciding_files_are_read() -> None:
    assert wanted("a/pyproject.toml")
    assert wanted("a/b/X.csproj")
    assert wanted("Makefile")
    assert not wanted("src/main.py")
    assert not wanted("buildyard.toml")


_PARTS = st.sampled_from(["a", "src", "Makefile", "x.py", "X.sln", "X.csproj", "pyproject.toml", "..", "", "ü"])


@given(st.frozensets(st.lists(_PARTS, min_size=1, max_size=4).map("/".join), max_size=8), st.booleans())
def test_no_tree_crashes_the_choice(files: frozenset[str], truncated: bool) -> None:
    try:
        choice = choose(FileTree(files, truncated=truncated), BuildyardToml())
    except NotFound:
        return
    assert choice.toolchain in TOOLCHAINS
    assert choice.why.startswith(choice.toolchain.name)
