"""The pure parts of batches: reading a CSV, cutting it into jobs, the built-in handler, tables of results."""

from __future__ import annotations

import csv
import io
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import InvalidUpload
from worker.batch.builtin import MAX_WORK_SECONDS, handle_row, work_seconds
from worker.batch.chunks import MAX_JOBS, cut, rows_per_job
from worker.batch.csv_rows import MAX_COLUMNS, MAX_FIELD_CHARACTERS, MAX_LINE_BYTES, decode_lines, read_table
from worker.batch.result_table import flat

_CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from('",;\t '), max_size=12)


def _rows(text: str) -> list[dict[str, str]]:
    return list(read_table(io.StringIO(text, newline="")).rows)


@given(st.lists(st.tuples(_CELLS, _CELLS.filter(bool)), min_size=1, max_size=8))
def test_what_a_csv_writer_wrote_is_read_again(rows: list[tuple[str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("first", "second"), *rows])

    assert _rows(file.getvalue()) == [{"first": one, "second": two} for one, two in rows]


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_refused_with_a_sentence(content: bytes) -> None:
    refusal = ""
    try:
        for _ in read_table(decode_lines(content.splitlines(keepends=True))).rows:
            pass
    except InvalidUpload as error:
        refusal = str(error)

    assert not refusal or refusal.endswith(".")


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        ("a,b\n1,2\n", ("a", "b"), [["1", "2"]]),
        ("a;b\n1,5;2\n", ("a", "b"), [["1,5", "2"]]),
        ("a\tb\n1\t2\n", ("a", "b"), [["1", "2"]]),
        ("\n\na,b\r\n1,2\r\n\r\n3,4", ("a", "b"), [["1", "2"], ["3", "4"]]),
        ('a,b\n"x\ny","say ""hi"""\n', ("a", "b"), [["x\ny", 'say "hi"']]),
        (" a , b \n1,\n", ("a", "b"), [["1", ""]]),
        ("only\n1\n2\n", ("only",), [["1"], ["2"]]),
    ],
)
def test_forms_that_people_send(text: str, columns: tuple[str, ...], rows: list[list[str]]) -> None:
    table = read_table(io.StringIO(text, newline=""))

    assert table.columns == columns
    assert [list(row.values()) for row in table.rows] == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not even a header"),
        ("\n \n", "not even a header"),
        ("a,,c\n", "Column 2 of the CSV has no name"),
        ("a,b,a\n", "names the column 'a' twice"),
        (",".join(f"c{number}" for number in range(MAX_COLUMNS + 1)), "1,001 columns"),
        ("a,b\n1,2\n1,2,3\n", "Row 2 of the CSV has 3 fields, but the header names 2 columns"),
        ("a,b\n1\n", "Row 1 of the CSV has 1 fields"),
        ('a,b\n"1,2\n3,4\n', "cannot be read"),
        ('a,b\n"1"x,2\n', "cannot be read"),
        ("a\n" + "x" * (MAX_FIELD_CHARACTERS + 1), "cannot be read"),
        ("a,b,c\n" + ",".join(["x" * 100_000] * 3), "more than 262,144 characters"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place_to_blame(text: str, said: str) -> None:
    with pytest.raises(InvalidUpload, match=said.replace("'", ".")):
        _rows(text)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([b"a\n", b"\xff\n"], "Line 2 of the CSV is not UTF-8"),
        ([b"a\0b\n"], "Line 1 of the CSV holds a NUL"),
        ([b"x" * (MAX_LINE_BYTES + 1)], "longer than"),
        (["a,b\n".encode("utf-16")], "UTF-16"),
    ],
)
def test_bytes_that_are_no_text_are_refused(lines: list[bytes], said: str) -> None:
    with pytest.raises(InvalidUpload, match=said):
        list(decode_lines(lines))


def test_more_rows_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.batch.csv_rows.MAX_ROWS", 3)
    with pytest.raises(InvalidUpload, match="more than 3 rows"):
        _rows("a\n1\n2\n3\n4\n")


# ---------------------------------------------------------------- cutting


@given(st.integers(min_value=1, max_value=30_000), st.none() | st.integers(min_value=1, max_value=100_000))
def test_chunks_cover_all_rows_in_order_without_gaps(rows: int, asked: int | None) -> None:
    offsets = [number * 7 for number in range(rows + 1)]
    chunks = cut(offsets, asked)

    assert chunks[0].span.first == 1
    assert chunks[0].byte_start == 0
    assert chunks[-1].byte_end == offsets[-1]
    for one, two in pairwise(chunks):
        assert two.span.first == one.span.first + one.span.count
        assert two.byte_start == one.byte_end
    assert sum(chunk.span.count for chunk in chunks) == rows
    assert len(chunks) <= MAX_JOBS


@pytest.mark.parametrize(
    ("rows", "asked", "each"),
    [(1, None, 1), (1000, None, 1), (1001, None, 6), (1_000_000, None, 5000), (200, 50, 50), (1_000_000, 1, 100)],
)
def test_one_row_a_job_up_to_a_thousand_then_a_thousand_jobs(rows: int, asked: int | None, each: int) -> None:
    assert rows_per_job(rows, asked) == each


# ---------------------------------------------------------------- the built-in handler


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=6), st.integers(1, 10**6))
def test_every_row_has_a_result_that_is_json(values: dict[str, str], row: int) -> None:
    result = handle_row(row, values)

    assert result.row == row
    assert result.ok != bool(result.error)
    json.dumps(result.result)


def test_a_row_is_normalised_and_its_digest_depends_on_its_values_only() -> None:
    one = handle_row(1, {"name": " Zoe\u0308   Smith ", "id": "7"})
    two = handle_row(2, {"id": "7", "name": "Zo\u00eb Smith"})

    assert one.result["values"] == {"name": "Zo\u00eb Smith", "id": "7"}
    assert one.result["sha256"] == two.result["sha256"]
    assert one.result["issues"] == []


@pytest.mark.parametrize(
    ("column", "value", "issue"),
    [
        ("email", "a@b.org", False), ("E-Mail", "nobody", True), ("contact_email", "a@b", True), ("email", "", False),
        ("amount", "1,234.50", False), ("Total Price", "12,5", False), ("amount", "1e5", False), ("age", "old", True),
        ("date", "2026-11-21", False), ("order_date", "2026-11-21T10:00:00Z", False), ("date", "21.11.2026", True),
        ("work_ms", "soon", True), ("name", "anything", False), ("accountant", "x", False),
    ],
)  # fmt: skip
def test_columns_are_checked_by_their_names(column: str, value: str, issue: bool) -> None:
    assert bool(handle_row(1, {column: value, "other": "x"}).result["issues"]) is issue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250", 0.25), ("1.5", 0.0015), ("", 0), ("-5", 0), ("nan", 0), ("1e9", 0), ("999999999999", MAX_WORK_SECONDS)],
)
def test_a_row_may_ask_to_take_its_time(text: str, seconds: float) -> None:
    assert work_seconds({"work_ms": text}) == seconds
    assert work_seconds({}) == 0


# ---------------------------------------------------------------- the table


@given(
    st.dictionaries(
        st.text(max_size=5) | st.sampled_from(["row", "values", "result.row"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4)
        | st.dictionaries(st.text(max_size=3) | st.just("row"), st.text(max_size=3)),
        max_size=5,
    )
)
def test_a_result_becomes_cells_and_none_of_them_takes_the_row_column(result: dict[str, object]) -> None:
    table = flat(result)

    assert "row" not in table
    assert all(isinstance(cell, str) for cell in table.values())
    values = result.get("values")
    inside = len(values) - 1 if isinstance(values, dict) else 0
    assert len(table) == len(result) + inside
