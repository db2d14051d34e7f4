"""What a row handler is told and how its answer is read; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from buildyard.contracts.builds import RowResult
from buildyard.errors import InvalidRequest

MAX_ANSWER_BYTES = 1024 * 1024
MAX_DEPTH = 100
_MAX_ERROR = 2000
_SHOWN = 80


@dataclass(frozen=True)
class Row:
    """One row to work on; `last` when no other of its job follows."""

    number: int
    values: dict[str, str]
    last: bool = False


def question(row: int, values: dict[str, str]) -> bytes:
    """The line a program reads for a row: its columns, and `row`, the row's number from 1."""
    return json.dumps({**values, "row": row}, ensure_ascii=False).encode() + b"\n"


def read_answer(row: int, line: bytes, dropped: int) -> RowResult:
    """What a program answered: a JSON object is the result; one whose `error` is a text is the row's failure."""
    try:
        answer = read_object(line, dropped)
    except InvalidRequest as fault:
        return _failed(row, f"The program's answer {fault}.")
    if isinstance(answer.get("row"), int) and answer["row"] != row:
        return _failed(row, f"The program answered row {answer['row']} where row {row} was due.")
    error = answer.get("error")
    if isinstance(error, str) and error.strip():
        return _failed(row, error.strip()[:_MAX_ERROR])
    return RowResult(row=row, ok=True, result={key: value for key, value in answer.items() if key != "row"})


def read_object(line: bytes, dropped: int) -> dict[str, Any]:
    """An answer as an object that can be passed on as JSON; `dropped` bytes of it were never kept.

    Raises:
        InvalidRequest: it is none; the sentence is a clause that says what it is instead.
    """
    if dropped:
        raise InvalidRequest(f"is longer than {MAX_ANSWER_BYTES:,} bytes")
    try:
        answer: Any = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"is not a line of JSON: {line[:_SHOWN].decode('utf-8', 'replace')!r}") from error
    if not isinstance(answer, dict):
        raise InvalidRequest("is not a JSON object")
    waiting: list[tuple[Any, int]] = [(answer, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"is nested more than {MAX_DEPTH} deep")
        if isinstance(value, str) and not _is_unicode(value):
            raise InvalidRequest("holds a half of a character")
        if isinstance(value, dict):
            waiting += [(key, depth) for key in value]
            waiting += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, list):
            waiting += [(part, depth + 1) for part in value]
    return answer


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def unanswered(row: int, exit_code: int | None, signal_name: str) -> RowResult:
    """The result of a row that the program did not answer before it ended."""
    how = f"was ended by {signal_name}" if signal_name else f"ended with exit code {exit_code}"
    return _failed(row, f"The program {how} before it answered this row.")


def _failed(row: int, error: str) -> RowResult:
    return RowResult(row=row, ok=False, error=error)


def _refuse(name: str) -> Any:
    msg = f"{name} is no JSON"
    raise ValueError(msg)
