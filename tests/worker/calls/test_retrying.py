from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.contracts.builds import RowResult
from buildyard.project.call_section import CallOptions
from worker.calls.retrying import Again, Answer, Fault, backoff, healthy, judge, retry_after
from worker.calls.row_call import Call, call_of

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
ALLOWED = ("api.example.com",)


def a_call(authorization: str = "") -> Call:
    url = "https://api.example.com/x?token=hidden-one"
    return call_of(7, {"url": url, "header_authorization": authorization}, CallOptions(), "b", ALLOWED)


def judged(
    end: Answer | Fault,
    *,
    tried: int = 1,
    chance: float = 0.0,
    options: CallOptions | None = None,
    authorization: str = "",
) -> RowResult | Again:
    return judge(
        a_call(authorization), end, options or CallOptions(), tried=tried, seconds=0.25, chance=chance, now=NOW
    )


def result(
    end: Answer | Fault, *, tried: int = 1, options: CallOptions | None = None, authorization: str = ""
) -> RowResult:
    found = judged(end, tried=tried, options=options, authorization=authorization)
    assert isinstance(found, RowResult)
    return found


# ---------------------------------------------------------------- Retry-After
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30.0),
        ("Sat Nov 21 12:00:30 2026", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 21 Nov 2026 13:00:00 +0100", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9999999999", None),
        ("Sat, 99 Nov 2026 12:00:30 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, expected: float | None) -> None:
    assert retry_after(text, NOW) == expected


@given(st.text(max_size=60))
def test_no_text_in_retry_after_is_an_error(text: str) -> None:
    found = retry_after(text, NOW)
    assert found is None or found >= 0


@given(st.integers(-10_000, 10_000))
def test_a_date_in_retry_after_is_told_to_the_second(seconds: int) -> None:
    assert retry_after(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), NOW) == max(0, seconds)


# ---------------------------------------------------------------- pauses
@given(st.integers(1, 1000), st.floats(0.01, 60), st.floats(0.01, 600), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_at_least_half_of_its_step_and_at_most_the_longest(
    tried: int, first: float, longest: float, chance: float
) -> None:
    step = backoff(tried, first, longest, 0.0)
    assert step / 2 <= backoff(tried, first, longest, chance) <= step <= longest
    assert step <= backoff(tried + 1, first, longest, 0.0)


@given(st.integers(0, 10_000), st.floats(0, 600), st.integers(1, 3))
def test_what_a_service_asks_for_is_waited_up_to_a_bound(asked: int, bound: float, tried: int) -> None:
    options = CallOptions(retry_after_max_seconds=bound)
    found = judged(Answer(429, retry_after=str(asked)), tried=tried, options=options)
    assert isinstance(found, Again)
    assert found.hold
    pause = backoff(tried, 0.5, 30, 0.0)
    assert found.seconds == max(pause, min(asked, bound))


# ---------------------------------------------------------------- verdicts
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_status_that_may_pass_is_tried_again_until_the_tries_are_used_up(status: int) -> None:
    assert [isinstance(judged(Answer(status), tried=tried), Again) for tried in (1, 2, 3, 4)] == [True] * 3 + [False]
    last = result(Answer(status, b"busy"), tried=4)
    assert last.error == f"api.example.com:443 answered {status}: busy. It was tried 4 times."
    assert last.result == {"status": status, "seconds": 0.25, "attempts": 4}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422, 501, 505])
def test_a_status_that_stays_is_the_rows_failure_at_once(status: int) -> None:
    assert not result(Answer(status)).ok


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    assert "leads to another address, which is not followed" in result(Answer(status)).error


def test_only_faults_of_the_service_count_as_unhealthy() -> None:
    ends: list[Answer | Fault] = [
        Answer(200),
        Answer(404),
        Answer(429),
        Answer(500),
        Fault("x"),
        Fault("refused", temporary=False),
    ]
    assert [healthy(end) for end in ends] == [True, True, True, False, False, True]


def test_a_text_answer_is_kept_up_to_its_bound() -> None:
    options = CallOptions(keep_bytes=5)
    assert result(Answer(200, "äöü".encode()), options=options).result["body"] == "äö"
    assert result(Answer(200, b"12345"), options=options).result == {
        "status": 200, "seconds": 0.25, "attempts": 1, "body": "12345", "cut": False,
    }  # fmt: skip
    assert result(Answer(200, b"1234", cut=True), options=options).result["cut"] is True


def test_named_fields_are_taken_out_of_a_json_answer() -> None:
    document = {"id": 7, "deep": {"a": [{"b": "x"}]}, "big": "y" * 1000}
    options = CallOptions(fields=("id", "deep.a.0.b", "deep.a.1.b", "none.at.all"))
    found = result(Answer(201, json.dumps(document).encode()), options=options)
    assert found.result["fields"] == {"id": 7, "deep.a.0.b": "x", "deep.a.1.b": None, "none.at.all": None}
    assert "body" not in found.result


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>"),
        Answer(200, b"[1]"),
        Answer(200, b'{"id": NaN}'),
        Answer(200, b'{"id": "\\ud800"}'),
        Answer(200, b'{"id": ' + b"[" * 200 + b"]" * 200 + b"}"),
        Answer(200, b"[" * 100_000),
        Answer(200, b'{"id": 1}', cut=True),
        Answer(200, b'{"id": "' + b"x" * 300_000 + b'"}'),
        Answer(200, b"\x1f\x8b", encoding="gzip"),
    ],
)
def test_an_answer_that_cannot_be_read_fails_its_row(answer: Answer) -> None:
    found = result(answer, options=CallOptions(fields=("id",)))
    assert not found.ok
    assert found.error.startswith(("api.example.com:443 ", "The answer of api.example.com:443 ", "The fields"))


def test_a_secret_that_comes_back_stands_in_no_result() -> None:
    for end in (Answer(200, b"you sent Bearer s3cr3t-token to ?token=hidden-one"), Answer(400, b"bad s3cr3t-token")):
        found = result(end, authorization="Bearer s3cr3t-token")
        assert "s3cr3t" not in found.model_dump_json()
        assert "hidden" not in found.model_dump_json()
        assert "***" in found.model_dump_json()


@pytest.mark.parametrize("written", [r"Bearer ab\/cd+ef==", r"Bearer ab/cd\u002Bef==", r"Bearer ab/cd\u002bef=="])
@pytest.mark.parametrize("fields", [(), ("echo", "list")])
def test_a_secret_that_comes_back_in_another_spelling_stands_in_no_result(
    written: str, fields: tuple[str, ...]
) -> None:
    end = Answer(200, f'{{"echo": "{written}", "list": [{{"{written}": "{written}"}}]}}'.encode())
    told = result(end, authorization="Bearer ab/cd+ef==", options=CallOptions(fields=fields)).model_dump_json()
    assert "cd" not in told
    assert "***" in told


@given(st.binary(max_size=300), st.integers(100, 599), st.booleans())
def test_any_answer_has_a_verdict_that_can_be_told(body: bytes, status: int, cut: bool) -> None:
    for options in (CallOptions(), CallOptions(fields=("a.b",))):
        found = judged(Answer(status, body, cut), tried=4, options=options)
        assert isinstance(found, RowResult)
        assert found.ok == (not found.error)
        found.model_dump_json()
