"""What a worker reads of strangers, damaged and made up: only its own refusals, bounded results, nothing gets out."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from buildyard.archives import Budget, extract, sniff
from buildyard.errors import HostileArchive, InvalidRequest, InvalidUpload
from buildyard.project.reading import read_buildyard_toml
from tests.bad_input.fuzzing import JSON_PIECES, check_sentence, fuzz, mutated
from tests.bad_input.hostile_files import TOMLS
from tests.buildyard.archive_forge import ZipPart, gz, pax, tar_member, tar_of, with_zip64_end, zip_of, zst
from worker.batch.answers import read_answer
from worker.batch.csv_rows import decode_lines, read_table
from worker.log_text import MAX_LINE_BYTES, LineSplitter, clean_line
from worker.toolchains.pyproject import read_pyproject
from worker.toolchains.reports import ReportFile, summarise


# ---------------------------------------------------------------- archives
@cache
def archives() -> tuple[bytes, ...]:
    plain = zip_of(ZipPart(b"a/b.txt", b"text" * 50), ZipPart(b"c", b"stored", 0), ZipPart(b"d/", b"", 0))
    tar = tar_of(
        tar_member("a/b.txt", b"text" * 50),
        tar_member("n" * 150, b"long name"),
        pax({"path": "p/x", "mtime": "1.5"}),
        tar_member("x", b"pax"),
        tar_member("d/", b"", type=b"5"),
    )
    return (plain, with_zip64_end(plain), gz(tar), zst(tar), gz(tar[:700]))


@cache
def tars() -> tuple[bytes, ...]:
    return tuple(
        tar_of(member, tar_member("b"))
        for member in (
            tar_member("a", b"x" * 600),
            tar_member("n" * 200),
            pax({"path": "p", "size": "7"}) + tar_member("x"),
            tar_member("l", b"", type=b"2", linkname="b"),
            tar_member("s", b"", type=b"S"),
        )
    )


_BUDGET = Budget(max_entries=50, max_bytes=200_000, max_entry_bytes=100_000)


def unpack_safely(content: bytes) -> None:
    """Unpack into a folder of a folder: refused or done, and in either case nothing beside the target."""
    kind = sniff(content)
    base = Path(tempfile.mkdtemp(prefix="buildyard-fuzz-"))
    try:
        (base / "archive").write_bytes(content)
        target = base / "deep" / "target"
        try:
            extract(base / "archive", kind or "zip", target, _BUDGET)
        except (HostileArchive, InvalidUpload) as error:
            check_sentence(error)
            assert not list(target.iterdir())
        assert {path.name for path in base.iterdir()} == {"archive", "deep"}
        assert [path.name for path in (base / "deep").iterdir()] == ["target"]
        found = list(target.rglob("*"))
        assert all(path.is_dir() or path.is_file() for path in found)
        assert not any(path.is_symlink() for path in found)
        assert sum(path.stat().st_size for path in found if path.is_file()) <= _BUDGET.max_bytes
    finally:
        shutil.rmtree(base)


@fuzz
@given(mutated(st.deferred(lambda: st.sampled_from(archives()))))
def test_an_archive_is_unpacked_or_refused_and_nothing_gets_out(content: bytes) -> None:
    unpack_safely(content)


@fuzz
@given(mutated(st.deferred(lambda: st.sampled_from(tars()))), st.sampled_from([gz, zst]))
def test_a_tar_is_unpacked_or_refused_and_nothing_gets_out(content: bytes, pack: Callable[[bytes], bytes]) -> None:
    unpack_safely(pack(content))


# ---------------------------------------------------------------- CSV
_CSV = st.lists(st.sampled_from([b"id", b"a", b",", b";", b"\t", b'"', b'""', b"\n", b"\r\n", b"\r", b" ", b"\xc3\xa4",
                                 b"\xef\xbb\xbf", b"\xff", b"\0", b"1", b"x" * 200]) | st.binary(max_size=3),
                max_size=60).map(b"".join)  # fmt: skip


@fuzz
@given(_CSV)
@example(b'"' + b"x" * 300_000)
@example(b"a\n" + b"\r" * 1000)
def test_a_csv_is_read_as_rows_of_its_columns_or_refused(content: bytes) -> None:
    try:
        table = read_table(decode_lines(content.splitlines(keepends=True)))
        for row in table.rows:
            assert tuple(row) == table.columns
            assert all(isinstance(value, str) for value in row.values())
    except InvalidUpload as error:
        check_sentence(error)


@fuzz
@given(JSON_PIECES | st.binary(max_size=60), st.integers(0, 3))
@example(b"[" * 500_000, 0)
@example(b'{"a": ' + b"9" * 5000 + b"}", 0)
def test_a_programs_answer_is_a_result_or_the_rows_error(line: bytes, dropped: int) -> None:
    result = read_answer(1, line, dropped)

    assert result.row == 1
    assert result.ok or result.error
    result.encode()


# ---------------------------------------------------------------- logs
_ESC_PIECES = st.sampled_from(
    [b"\x1b", b"[", b"31m", b"\x1b[0m", b"\x1b]0;", b"\x07", b"\x1b\\", b"\xc2", b"\x9b", b"\xc2\x9d", b"2J", b"\r",
     b"\n", b"\xe2\x80", b"\xa8", b"text", b"\x1bP", b"\x00", b"\x85", b"\xff", b"m", b";",
     b"\xc2\x9c", b"\x1b[38;5;1m"]
)  # fmt: skip
_SGR = re.compile("\x1b\\[[0-9;:]*m")
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def lines_in_pieces(raw: bytes, cuts: list[int]) -> list[tuple[bytes, int]]:
    places = sorted({cut % (len(raw) + 1) for cut in cuts})
    splitter = LineSplitter()
    found: list[tuple[bytes, int]] = []
    for start, end in zip([0, *places], [*places, len(raw)], strict=True):
        found += splitter.feed(raw[start:end])
    return found + splitter.finish()


@fuzz
@given(
    st.lists(_ESC_PIECES | st.binary(max_size=6), max_size=60).map(b"".join), st.lists(st.integers(0, 500), max_size=8)
)
def test_of_any_output_cut_anywhere_only_colours_survive(raw: bytes, cuts: list[int]) -> None:
    pieces = [clean_line(*line) for line in lines_in_pieces(raw, cuts)]

    assert pieces == [clean_line(*line) for line in lines_in_pieces(raw, [])]
    for text in pieces:
        assert not _CONTROLS.search(_SGR.sub("", text))
        assert len(text.encode()) <= MAX_LINE_BYTES


@fuzz
@given(
    st.integers(0, 40_000),
    st.lists(_ESC_PIECES, max_size=20).map(b"".join),
    st.lists(st.integers(0, 50_000), max_size=6),
)
def test_a_long_line_is_bounded_wherever_it_is_cut(length: int, tail: bytes, cuts: list[int]) -> None:
    for line in lines_in_pieces(b"x" * length + tail.replace(b"\n", b"") + b"y" * 20_000, cuts):
        text = clean_line(*line)
        assert len(text.encode()) <= MAX_LINE_BYTES
        assert not _CONTROLS.search(_SGR.sub("", text))


# ---------------------------------------------------------------- files of a source
_TOML_PIECES = st.lists(
    st.sampled_from(["[batch]\n", "[stages.build]\n", "commands", "run", "rows", "=", '"', "'", '"""', "[", "]", "{",
                     "}", ",", "\n", "#", "true", "1e999", "nan", "2026-13-45", "2026-01-01T25:61:00Z", "9" * 5000,
                     "0x", "\\u0000", "\\ud800", "toolchain", ".", "[[batch]]\n", "1979-05-27T07:32:00+99:99",
                     "\ufeff"])
    | st.text(max_size=3),
    max_size=20,
).map("".join)  # fmt: skip


@fuzz
@given(_TOML_PIECES)
@example("a = " + "[" * 5000)
@example("a" + ".a" * 50_000 + " = 1")
@example("a = " + "{a = " * 5000)
@example("a = " + "9" * 5000)
def test_a_configuration_is_followed_or_refused(text: str) -> None:
    for read in (read_buildyard_toml, lambda text: read_pyproject("pyproject.toml", text)):
        try:
            read(text)
        except InvalidRequest as error:
            check_sentence(error)


@fuzz
@given(st.sampled_from(sorted(TOMLS)), st.data())
def test_a_changed_configuration_is_followed_or_refused(name: str, data: st.DataObject) -> None:
    content = TOMLS[name][0]
    assume(len(content) < 10_000)
    raw = content if isinstance(content, bytes) else content.encode()
    try:
        text = data.draw(mutated(st.just(raw))).decode()
    except UnicodeDecodeError:
        return
    try:
        read_buildyard_toml(text)
    except InvalidRequest as error:
        check_sentence(error)


_REPORTS = st.sampled_from(
    [
        b'<testsuite name="s"><testcase classname="c" name="n"><failure message="m">t</failure></testcase></testsuite>',
        b'<TestRun><Results><UnitTestResult testName="t" outcome="Failed" duration="00:00:01"/></Results></TestRun>',
        b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite>&a;</testsuite>',
    ]
)


@fuzz
@given(mutated(_REPORTS), st.sampled_from(["junit", "trx"]))
def test_a_report_is_counted_or_told_in_one_sentence(data: bytes, kind: Any) -> None:
    summary, problems = summarise([ReportFile(kind, "report.xml", data)])

    assert (summary is None) == (len(problems) == 1)
    assert all(problem.isprintable() for problem in problems)
