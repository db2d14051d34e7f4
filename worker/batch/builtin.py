"""What is done with a row when its sender brings no program: it is normalised, checked and digested; pure.

Two columns are for trying a farm out: `work_ms` makes a row take that long, `fail` makes it fail.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime

from buildyard.contracts.builds import RowResult

MAX_WORK_SECONDS = 600.0
WORK_COLUMN = "work_ms"
FAIL_COLUMN = "fail"

_FALSE = frozenset({"", "0", "no", "n", "false", "off"})
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_NUMBER = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?|[+-]?\d+([.,]\d+)?([eE][+-]?\d{1,3})?")
_EMAIL_WORDS = frozenset({"email", "mail"})
_NUMBER_WORDS = frozenset({"amount", "price", "quantity", "qty", "count", "total", "sum", "age", "score"})
_DATE_WORDS = frozenset({"date", "datetime", "birthday"})


def work_seconds(values: Mapping[str, str]) -> float:
    """How long the row asks to take: 0 without the column, at most MAX_WORK_SECONDS; what is no number asks nothing."""
    text = values.get(WORK_COLUMN, "").strip()
    if not re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return 0.0
    return min(float(text) / 1000, MAX_WORK_SECONDS)


def handle_row(row: int, values: Mapping[str, str]) -> RowResult:
    """The result of one row: {"values": normalised, "sha256": of their canonical JSON, "issues": sentences}.

    A row without any value fails, and so does one whose column `fail` says so.
    """
    normal = {name: _normalised(value) for name, value in values.items()}
    if not any(normal.values()):
        return RowResult(row=row, ok=False, error="The row is empty.")
    if normal.get(FAIL_COLUMN, "").casefold() not in _FALSE:
        return RowResult(row=row, ok=False, error=f"The row asks to fail: its column `{FAIL_COLUMN}` says so.")
    canonical = json.dumps(normal, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    issues = [issue for name, value in normal.items() if value and (issue := _issue(name, value))]
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
    return RowResult(row=row, ok=True, result={"values": normal, "sha256": digest, "issues": issues})


def _normalised(value: str) -> str:
    return " ".join(unicodedata.normalize("NFC", value).split())


def _issue(name: str, value: str) -> str:
    words = set(re.split(r"[^a-z0-9]+", name.casefold().replace("e-mail", "email")))
    if words & _EMAIL_WORDS and not _EMAIL.fullmatch(value):
        return f"{name} is not an e-mail address."
    if name == WORK_COLUMN and not re.fullmatch(r"\d{1,12}(\.\d+)?", value):
        return f"{name} is not a number of milliseconds."
    if words & _NUMBER_WORDS and not _NUMBER.fullmatch(value):
        return f"{name} is not a number."
    if words & _DATE_WORDS and not _is_date(value):
        return f"{name} is not a date such as 2026-11-21."
    return ""


def _is_date(value: str) -> bool:
    for kind in (date, datetime):
        try:
            kind.fromisoformat(value)
        except ValueError:
            continue
        return True
    return False
