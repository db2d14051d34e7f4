"""What compilers print is told as file, line and column, whatever the tool; real output of each is in `fixtures`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildyard.contracts.diagnostics import MAX_DIAGNOSTICS
from worker.toolchains import TOOLCHAINS
from worker.toolchains.compilers import FAMILIES, Family, Found, compiler_of
from worker.toolchains.diagnostics import Diagnostics

_FILES = st.from_regex(r"(src/)?[a-zA-Z_][\w-]{0,8}", fullmatch=True)
_MESSAGES = st.from_regex(r"[a-z'][\w' .;=]{0,40}[\w']", fullmatch=True).filter(lambda text: "  " not in text)
_NUMBERS = st.integers(1, 999_999_999)


@st.composite
def diagnostics(draw: st.DrawFn, suffix: str, codes: tuple[str, ...]) -> Found:
    """Something that a compiler may say of a file."""
    return Found(
        draw(st.sampled_from(["warning", "error"])),
        draw(_FILES) + suffix,
        draw(_NUMBERS),
        draw(_NUMBERS),
        draw(_MESSAGES),
        draw(st.sampled_from(codes)),
    )


def _gcc(one: Found) -> str:
    code = f" [{one.code}]" if one.code else ""
    return f"{one.file}:{one.line}:{one.column}: {one.severity}: {one.message}{code}\n   12 |  int x;\n      |      ^"


def _javac(one: Found) -> str:
    code = f"[{one.code}] " if one.code else ""
    return f"{one.file}:{one.line}: {one.severity}: {code}{one.message}\n        int x;\n            ^"


def _maven(one: Found) -> str:
    code = f"[{one.code}] " if one.code else ""
    return f"[{one.severity.upper()}] {one.file}:[{one.line},{one.column}] {code}{one.message}"


def _msbuild(one: Found) -> str:
    return f"{one.file}({one.line},{one.column}): {one.severity} {one.code}: {one.message} [/w/src/A.csproj]"


def _rustc(one: Found) -> str:
    code = f"[{one.code}]" if one.code else ""
    place = f"{one.file}:{one.line}:{one.column}"
    return f"{one.severity}{code}: {one.message}\n  --> {place}\n   |\n 3 | let x;\n   ::: other.rs:1:1"


def _tsc(one: Found) -> str:
    return f"{one.file}({one.line},{one.column}): {one.severity} {one.code}: {one.message}"


def _pretty_tsc(one: Found) -> str:
    return f"{one.file}:{one.line}:{one.column} - {one.severity} {one.code}: {one.message}\n\n3 let x;\n      ~"


def _eslint(one: Found) -> str:
    return f"/w/src/{one.file}\n  {one.line}:{one.column}  {one.severity}  {one.message}  {one.code}\n\n✖ 1 problem"


FORMS: list[tuple[Family, str, tuple[str, ...], Callable[[Found], str]]] = [
    ("gcc", ".c", ("", "-Wunused-variable", "-Wformat="), _gcc),
    ("javac", ".java", ("", "unchecked"), _javac),
    ("maven", ".java", ("", "deprecation"), _maven),
    ("msbuild", ".cs", ("CS0168", "NU1101", "MSB4011"), _msbuild),
    ("rustc", ".rs", ("", "E0425"), _rustc),
    ("typescript", ".ts", ("TS2322",), _tsc),
    ("typescript", ".tsx", ("TS6133",), _pretty_tsc),
    ("eslint", ".js", ("no-unused-vars", "@scope/rule"), _eslint),
]


@pytest.mark.parametrize(("family", "suffix", "codes", "printed"), FORMS, ids=[f"{form[0]}{form[1]}" for form in FORMS])
@settings(max_examples=30)
@given(data=st.data())
def test_what_a_compiler_says_is_read_back(
    family: Family, suffix: str, codes: tuple[str, ...], printed: Callable[[Found], str], data: st.DataObject
) -> None:
    said = data.draw(st.lists(diagnostics(suffix, codes), min_size=1, max_size=3))
    if family == "javac":
        said = [replace(one, column=None) for one in said]
    reader = compiler_of(family)

    lines = [line for one in said for line in printed(one).split("\n")]
    found = [one for line in lines if (one := reader.take(line)) is not None]

    below = "/w/src/" if family in {"eslint", "msbuild"} else ""
    assert found == [replace(one, file=below + one.file) for one in said]


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=30)
@given(text=st.text(max_size=200) | st.text("a:(),0-9[]/ .\"'>ErrorWarningfile", max_size=80))
def test_any_line_is_gone_through(family: Family, text: str) -> None:
    reader = compiler_of(family)
    for line in text.split("\n"):
        found = reader.take(line)
        assert found is None or (found.file and (found.line is None or found.line >= 0))


HOSTILE = [
    "a" * 16_000,
    ":" * 16_000,
    "a:1:" * 4_000,
    " " * 16_000,
    'File "' * 2_700,
    "a(1,1" * 3_200,
    "[ERROR] " + "a" * 16_000,
    "  1:1  error" + "  " * 8_000,
    "a.go:1: " * 2_000,
    "error" * 3_200,
    "M:1: *** x" + " " * 16_000 + "x",
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("line", HOSTILE, ids=[line[:12] for line in HOSTILE])
def test_a_hostile_line_takes_no_time_to_speak_of(family: Family, line: str) -> None:
    reader = compiler_of(family)

    began = time.process_time()
    for _ in range(100):
        reader.take(line)
    assert time.process_time() - began < 10, (
        "of its own processor time: once through is far below, in squares far above"
    )


def test_every_family_has_a_reader_and_every_toolchain_with_tools_names_some() -> None:
    assert set(FAMILIES) == set(get_args(Family))
    assert all(toolchain.compilers for toolchain in TOOLCHAINS if toolchain.tools)


def _heard(*lines: str, families: tuple[Family, ...] = FAMILIES, cwd: str = ".") -> Diagnostics:
    heard = Diagnostics(families, ("/w/src", "/real/src"))
    heard.begin(cwd)
    for line in lines:
        heard.take(line)
    return heard


@pytest.mark.parametrize(
    ("printed", "cwd", "file"),
    [
        ("/w/src/a/b.c", ".", "a/b.c"),
        ("/real/src/a/b.c", "sub", "a/b.c"),
        ("./a.c", ".", "a.c"),
        ("../inc/a.h", "sub/dir", "sub/inc/a.h"),
        ("../../a.h", "sub", "../../a.h"),
        ("/usr/include/stdio.h", ".", "/usr/include/stdio.h"),
        ("C:\\src\\a.c", ".", "C:/src/a.c"),
        ("/w/srcs/a.c", ".", "/w/srcs/a.c"),
    ],
)
def test_a_file_is_named_from_the_top_of_the_sources(printed: str, cwd: str, file: str) -> None:
    [one] = _heard(f"{printed}:3:5: error: no", families=("gcc",), cwd=cwd).found()

    assert (one.file, one.line, one.column, one.place) == (file, 3, 5, f"{file}:3:5")


@given(st.integers(0, 120), st.integers(0, 120))
def test_errors_are_never_crowded_out_by_warnings_and_all_are_counted(warnings: int, errors: int) -> None:
    lines = [f"a.c:{number + 1}:1: warning: w" for number in range(warnings)]
    lines += [f"a.c:{number + 1}:1: error: e" for number in range(errors)]
    heard = _heard(*lines, *lines, families=("gcc",))

    found = heard.found()

    assert (heard.count("warning"), heard.count("error")) == (warnings, errors)
    assert len(found) == min(MAX_DIAGNOSTICS, warnings + errors)
    assert sum(one.severity == "error" for one in found) == min(errors, MAX_DIAGNOSTICS)
    assert [one.line for one in found if one.severity == "error"] == list(range(1, min(errors, MAX_DIAGNOSTICS) + 1))


def test_what_is_kept_is_bounded_and_without_control_codes() -> None:
    [one] = _heard("a.c:3:5: error: " + "x\x07" * 5000, families=("gcc",)).found()

    assert len(one.message) == 400
    assert not re.search(r"[\x00-\x08]", one.message)


def test_a_new_command_forgets_what_the_last_one_left_open() -> None:
    heard = _heard("error: mismatched types", families=("rustc",))
    heard.begin()
    heard.take("  --> a.rs:1:1")

    assert heard.found() == ()


REAL: dict[str, tuple[Family, ...]] = {
    "gcc": ("gcc",),
    "javac": ("maven", "javac"),
    "rustc": ("rustc", "gcc"),
    "go": ("go", "gcc"),
    "python": ("python", "gcc"),
    "maven": ("maven", "javac"),
    "msbuild": ("msbuild",),
    "typescript": ("typescript", "eslint", "node"),
    "eslint": ("typescript", "eslint", "node"),
    "node": ("typescript", "eslint", "node"),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_output_of_compilers_is_told_as_places(name: str) -> None:
    """`NAME.txt` was printed by the real tools, `NAME.told.txt` is what it says."""
    fixtures = Path(__file__).parent / "fixtures"
    printed, told = ((fixtures / f"{name}{kind}.txt").read_text(encoding="utf-8") for kind in ("", ".told"))

    found = _heard(*printed.split("\n"), families=REAL[name]).found()

    assert [f"{one.severity} {one.place} {one.message} {one.code}".rstrip() for one in found] == told.splitlines()
