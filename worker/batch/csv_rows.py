"""Reading a CSV strictly: what is ragged, undecodable or beyond its bounds is refused with the line to blame; pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from buildyard.errors import InvalidUpload

MAX_ROWS = 1_000_000
MAX_COLUMNS = 1000
MAX_ROW_CHARACTERS = 256 * 1024
"""Of all fields of one row together."""
MAX_FIELD_CHARACTERS = 128 * 1024
MAX_LINE_BYTES = 8 * 1024 * 1024
"""Of one physical line: more cannot be a row."""

_DELIMITERS = (",", ";", "\t")
_SHOWN = 40


@dataclass(frozen=True)
class CsvTable:
    """A table whose header is read: `rows` are read as they are asked for, and raise InvalidUpload where they break."""

    columns: tuple[str, ...]
    rows: Iterator[dict[str, str]]


def decode_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Physical lines, line feed included, as text; the byte order mark is taken off.

    Raises:
        InvalidUpload: a line is not UTF-8, too long, or holds a NUL; while iterating.
    """
    for number, line in enumerate(lines, 1):
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidUpload("The CSV is UTF-16.", remedy="Save it as UTF-8.")
        if len(line) > MAX_LINE_BYTES:
            raise InvalidUpload(f"Line {number} of the CSV is longer than {MAX_LINE_BYTES:,} bytes.")
        if b"\0" in line:
            raise InvalidUpload(f"Line {number} of the CSV holds a NUL byte.")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidUpload(f"Line {number} of the CSV is not UTF-8.", remedy="Save it as UTF-8.") from error
        yield text


def read_table(lines: Iterable[str]) -> CsvTable:
    """Read the header; commas, semicolons or tabs separate the columns, whichever the header holds most of.

    Raises:
        InvalidUpload: there is no header, or its names are empty, repeated or too many.
    """
    remaining = iter(lines)
    first = next((line for line in remaining if line.strip()), "")
    if not first:
        raise InvalidUpload("The CSV is empty: it has not even a header.")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(chain([first], remaining), delimiter=delimiter, strict=True)
    columns = tuple(name.strip() for name in _next(reader) or ())
    _check_header(columns)
    return CsvTable(columns, _rows(reader, columns))


def _check_header(columns: tuple[str, ...]) -> None:
    if len(columns) > MAX_COLUMNS:
        raise InvalidUpload(f"The CSV has {len(columns):,} columns; at most {MAX_COLUMNS:,} are read.")
    seen: set[str] = set()
    for number, name in enumerate(columns, 1):
        if not name:
            raise InvalidUpload(f"Column {number} of the CSV has no name in the header.")
        if name in seen:
            raise InvalidUpload(f"The CSV's header names the column {name[:_SHOWN]!r} twice.")
        seen.add(name)


def _rows(reader: Iterator[list[str]], columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    count = 0
    while (fields := _next(reader)) is not None:
        if not fields:  # an empty line between rows
            continue
        count += 1
        if count > MAX_ROWS:
            raise InvalidUpload(f"The CSV has more than {MAX_ROWS:,} rows.", remedy="Send it in parts.")
        if len(fields) != len(columns):
            raise InvalidUpload(
                f"Row {count} of the CSV has {len(fields)} fields, but the header names {len(columns)} columns."
            )
        if sum(map(len, fields)) > MAX_ROW_CHARACTERS:
            raise InvalidUpload(f"Row {count} of the CSV holds more than {MAX_ROW_CHARACTERS:,} characters.")
        yield dict(zip(columns, fields, strict=True))


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        fields = next(reader, None)
    except csv.Error as error:
        line = getattr(reader, "line_num", 0)
        raise InvalidUpload(f"Line {line} of the CSV cannot be read: {error}.") from error
    if fields is not None and any(len(field) > MAX_FIELD_CHARACTERS for field in fields):
        raise InvalidUpload(f"Line {getattr(reader, 'line_num', 0)} of the CSV holds a field that is too long.")
    return fields
