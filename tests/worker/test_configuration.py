from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import StageName
from buildyard.errors import InvalidRequest
from buildyard.project.configuration import BuildyardToml
from buildyard.project.reading import read_buildyard_toml
from worker.globs import matches
from worker.toolchains.contract import FileTree


def test_an_empty_file_says_nothing() -> None:
    assert read_buildyard_toml("") == BuildyardToml()
    assert read_buildyard_toml("").stage(StageName.BUILD).commands == ()


def test_a_stage_is_found_by_its_name() -> None:
    config = read_buildyard_toml("[stages.test]\ncommands = [['a', 'b'], ['c']]\n")

    assert config.stage(StageName.TEST).commands == (("a", "b"), ("c",))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = ", "is not TOML"),
        ("unknown = 1", "unknown"),
        ("toolchain = 'Python!'", "toolchain"),
        ("[artifacts]\npaths = ['/etc/passwd']", "artifacts.paths.0"),
        ("[artifacts]\npaths = ['a/../../b']", "artifacts.paths.0"),
        ("[artifacts]\npaths = ['C:\\\\x']", "artifacts.paths.0"),
        ("[artifacts]\npaths = 'dist'", "artifacts.paths"),
        ("[stages.fetch]\nskip = true", "stages.fetch"),
        ("[stages.build]\ncommands = ['make']", "stages.build.commands.0"),
        ("[stages.build]\ncommands = [[]]", "stages.build.commands.0"),
        ('[stages.build]\ncommands = [["a\\u0000b"]]', "stages.build.commands.0.0"),
        ("[stages.build]\nshell = 'rm -rf /'", "stages.build.shell"),
        ("[batch]\nrows = 'a.csv'", "batch.run"),
        ("[batch]\nrows = '../a.csv'\nrun = ['x']", "batch.rows"),
        ("[environment]\nBUILDYARD_TOKEN = 'x'", "environment"),
        ("[environment]\nLD_PRELOAD = 'x.so'", "environment"),
        ("[environment]\n'A=B' = 'x'", "environment"),
        ("[environment]\nA = 1", "environment.A"),
    ],
)
def test_a_wrong_key_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_buildyard_toml(text)

    assert place in str(caught.value)


@given(st.text(max_size=60) | st.integers(1, 3000).map(lambda depth: "a = " + "[" * depth))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_buildyard_toml(text)
    except InvalidRequest as error:
        refused = str(error)
        assert refused.endswith(".")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("dist/*.whl", "dist/a.whl", True), ("dist/*.whl", "dist/sub/a.whl", False), ("dist/**", "dist/a/b/c", True),
        ("dist/**", "dist", False), ("dist/", "dist/a", True), ("**/bin/*.dll", "bin/a.dll", True),
        ("**/bin/*.dll", "x/y/bin/a.dll", True), ("**/bin/*.dll", "x/cabin/a.dll", False), ("a?c", "abc", True),
        ("a?c", "a/c", False), ("*.txt", "A.TXT", False), ("a+(b).txt", "a+(b).txt", True), ("**", "any/thing", True),
        ("*", ".hidden", True), ("a\nb", "a\nb", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert matches(pattern, path) is fits


@given(st.lists(st.sampled_from(["a", "b.c", "d"]), min_size=1, max_size=5).map("/".join))
def test_a_path_without_marks_fits_itself_only(path: str) -> None:
    assert matches(path, path)
    assert not matches(path, path + "x")


def test_a_tree_tells_its_files_in_order() -> None:
    tree = FileTree(frozenset({"b/x.py", "a.py", "a.txt"}), {"a.txt": "text"})

    assert list(tree.matching("**/*.py")) == ["a.py", "b/x.py"]
    assert (tree.has("a.py"), tree.text("a.txt"), tree.text("a.py")) == (True, "text", "")
