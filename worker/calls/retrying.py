"""What a call's end means for its row: a result, or another try and when; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from buildyard.contracts.builds import RowResult
from buildyard.errors import InvalidRequest
from buildyard.project.call_section import CallOptions
from worker.batch.answers import read_object
from worker.calls.row_call import Call

_OK, _REDIRECT, _CLIENT, _SERVER = 200, 300, 400, 500
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_ERROR = 2000
_MAX_RESULT = 256 * 1024
_SHOWN = 200


@dataclass(frozen=True)
class Answer:
    """What a service answered; `cut` when its body went on, `encoding` what it is compressed with."""

    status: int
    body: bytes = b""
    cut: bool = False
    retry_after: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class Fault:
    """A call without an answer: `cause` is a clause such as "it broke off the connection"."""

    cause: str
    temporary: bool = True


@dataclass(frozen=True)
class Again:
    """Another try after so many seconds; until then `hold` keeps other calls off the service too."""

    seconds: float
    cause: str
    hold: bool = False


def healthy(end: Answer | Fault) -> bool:
    """Whether the service works, whatever it thinks of this call."""
    if isinstance(end, Fault):
        return not end.temporary
    return end.status < _SERVER


def judge(
    call: Call, end: Answer | Fault, options: CallOptions, *, tried: int, seconds: float, chance: float, now: datetime
) -> RowResult | Again:
    """The row's result, or when to try again.

    Args:
        call: what was sent.
        end: how it ended.
        options: how the build's rows are called.
        tried: tries so far, this one counted.
        seconds: how long this one took.
        chance: evenly spread over [0, 1): it decides how much of the back-off is waited.
        now: the time, to which a date in Retry-After is compared.
    """
    if isinstance(end, Answer) and _OK <= end.status < _REDIRECT:
        return _good(call, end, options, tried, seconds)
    temporary = end.temporary if isinstance(end, Fault) else end.status in _TRIED_AGAIN
    cause = _cause(call, end)
    if temporary and tried < options.tries:
        asked = retry_after(end.retry_after, now) if isinstance(end, Answer) else None
        pause = backoff(tried, options.backoff_seconds, options.backoff_max_seconds, chance)
        if asked is None:
            return Again(pause, cause)
        return Again(max(pause, min(asked, options.retry_after_max_seconds)), cause, hold=True)
    return failed(call.row, end, cause, tried, seconds)


def backoff(tried: int, first: float, longest: float, chance: float) -> float:
    """Seconds to wait after so many tries: doubled each time up to `longest`, of which chance takes off up to half."""
    return float(min(longest, first * 2.0 ** min(tried - 1, 64))) * (1 - chance / 2)


def retry_after(text: str, now: datetime) -> float | None:
    """Seconds that `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3); None when it says neither."""
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000": a date in UTC
        moment = moment.replace(tzinfo=UTC)
    try:
        return max(0.0, (moment - now).total_seconds())
    except OverflowError:
        return None


def failed(row: int, end: Answer | Fault | None, cause: str, tried: int, seconds: float) -> RowResult:
    """The result of a row that no call helps."""
    after = f" It was tried {tried} times." if tried > 1 else ""
    status = {"status": end.status} if isinstance(end, Answer) else {}
    numbers = {**status, "seconds": round(seconds, 3), "attempts": tried} if tried else {}
    return RowResult(row=row, ok=False, error=f"{cause}.{after}"[:_MAX_ERROR], result=numbers)


def _good(call: Call, answer: Answer, options: CallOptions, tried: int, seconds: float) -> RowResult:
    result: dict[str, Any] = {"status": answer.status, "seconds": round(seconds, 3), "attempts": tried}
    if answer.encoding not in {"", "identity"}:
        return failed(call.row, answer, f"{call.address.service} answered in an encoding not asked for", tried, seconds)
    text = call.masked(answer.body.decode("utf-8", "replace"))
    if not options.fields:
        kept = text.encode("utf-8", "replace")[: options.keep_bytes].decode("utf-8", "ignore")
        return RowResult(
            row=call.row, ok=True, result={**result, "body": kept, "cut": answer.cut or len(kept) < len(text)}
        )
    if answer.cut:
        return failed(call.row, answer, f"{call.address.service} answered too much to read fields from", tried, seconds)
    try:
        document = read_object(text.encode("utf-8", "replace"), 0)
    except InvalidRequest as fault:
        return failed(call.row, answer, f"The answer of {call.address.service} {fault}", tried, seconds)
    found = {path: _masked(call, _field(document, path)) for path in options.fields}
    if len(str(found)) > _MAX_RESULT:
        return failed(call.row, answer, f"The fields kept of the answer are over {_MAX_RESULT:,}", tried, seconds)
    return RowResult(row=call.row, ok=True, result={**result, "fields": found})


def _masked(call: Call, value: Any) -> Any:
    """A value of an answer without the call's secrets, however they were written in it."""
    if isinstance(value, str):
        return call.masked(value)
    if isinstance(value, list):
        return [_masked(call, one) for one in value]
    if isinstance(value, dict):
        return {call.masked(name): _masked(call, one) for name, one in value.items()}
    return value


def _field(document: Any, path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    for part in path.split("."):
        if isinstance(document, list) and re.fullmatch(r"[0-9]{1,6}", part) and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


def _cause(call: Call, end: Answer | Fault) -> str:
    service = call.address.service
    if isinstance(end, Fault):
        return f"{service}: {end.cause}"
    if _REDIRECT <= end.status < _CLIENT:
        return f"{service} answered {end.status}: it leads to another address, which is not followed"
    text = "" if end.encoding else call.masked(end.body.decode("utf-8", "replace"))
    said = " ".join("".join(char if char.isprintable() else " " for char in text[: 2 * _SHOWN]).split())[:_SHOWN]
    return f"{service} answered {end.status}{': ' if said else ''}{said.rstrip('.')}"
