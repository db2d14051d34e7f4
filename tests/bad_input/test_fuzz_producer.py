"""What the producer reads of strangers, damaged and made up: only its own refusals, the same however it is cut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from buildyard.contracts import messages
from buildyard.contracts.messages import read_message
from buildyard.errors import InvalidRequest, InvalidUpload, UnreadableMessage
from orchestrator.api.forms import build_request_of
from orchestrator.api.json_body import parse_json
from orchestrator.api.kinds import kind_of
from orchestrator.api.multipart import FormEnd, FormParser, PartEnd, PartHead
from orchestrator.api.ranges import disposition, names_tag, part_of, plain_type
from tests.bad_input.fuzzing import JSON_PIECES, check_sentence, fuzz, mutated
from tests.bad_input.raw_http import FormPart, field_part, file_part, form
from tests.buildyard.message_examples import EXAMPLES


@fuzz
@given(st.binary(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_the_kind_of_an_upload_is_told_or_refused(content: bytes, name: str, content_type: str) -> None:
    try:
        kind_of(content, name, content_type)
    except InvalidUpload as error:
        check_sentence(error)


# ---------------------------------------------------------------- messages
_ADAPTERS: dict[str, TypeAdapter[Any]] = {
    "report": messages.REPORT,
    "control": messages.CONTROL,
    "ticket": messages.TICKET,
    "lines": messages.LOG_LINES,
    "ring": messages.RING,
}


@fuzz
@given(
    st.sampled_from(sorted(_ADAPTERS)),
    mutated(st.sampled_from([value.encode() for value in EXAMPLES])) | st.binary(max_size=100),
)
@example("report", b"[" * 100_000)
@example("report", b'{"type": "heartbeat", "attempt": ' + b"9" * 10_000 + b"}")
@example("lines", b'{"v": 1e999}')
@example("ticket", b'{"ticketId": "\\ud800"}')
@example("ticket", b"\xff\xfe")
def test_a_message_is_read_or_unreadable(which: str, body: bytes) -> None:
    try:
        read_message(_ADAPTERS[which], body)
    except UnreadableMessage as error:
        check_sentence(error)


# ---------------------------------------------------------------- forms
Told = list[tuple[str, str | None, str, bytes]]


def parsed(chunks: list[bytes]) -> Told | str:
    """The parts of a form that comes in these chunks, or the sentence that refuses it."""
    parser, told, ended = FormParser(b"b"), [], 0
    content = bytearray()
    head = PartHead("", None, "")
    try:
        for chunk in chunks:
            for event in parser.feed(chunk):
                match event:
                    case PartHead():
                        head, content = event, bytearray()
                    case PartEnd():
                        told.append((head.name, head.filename, head.content_type, bytes(content)))
                    case FormEnd():
                        ended += 1
                    case _:
                        content += event
    except InvalidRequest as error:
        return str(error)
    return [*told, ("", None, "end", b"%d" % ended)]


_FORMS = st.lists(
    st.builds(field_part, st.sampled_from(["a", "projectName", "ä"]), st.binary(max_size=30))
    | st.builds(file_part, st.binary(max_size=60) | st.just(b"\r\n--b\r\n-\r\n--b-"), st.sampled_from(["a.zip", "ü"]))
    | st.builds(FormPart, st.text(max_size=10), st.binary(max_size=10)),
    max_size=4,
).map(lambda parts: form(*parts))


@fuzz
@given(_FORMS | mutated(_FORMS), st.lists(st.integers(0, 400), max_size=10))
def test_a_form_says_the_same_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    places = sorted({cut % (len(body) + 1) for cut in cuts})
    chunks = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]

    assert parsed([chunk for chunk in chunks if chunk]) == parsed([body] if body else [])


_NAMES = st.sampled_from(["projectName", "project_name", "metadata", "request", "timeoutMinutes", "job", "priority"])


@fuzz
@given(st.lists(st.tuples(_NAMES | st.text(max_size=8), st.text(max_size=20) | st.just('{"job":{}}')), max_size=4))
def test_fields_are_a_request_or_refused(fields: list[tuple[str, str]]) -> None:
    try:
        build_request_of(fields, "a.zip")
    except (InvalidRequest, ValidationError) as error:
        check_sentence(error)


# ---------------------------------------------------------------- JSON
def texts_in(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [*part, *part.values()]
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, str):
            yield part


@fuzz
@given(JSON_PIECES | st.binary(max_size=60))
@example(b"[" * 500_000)
@example(b'{"a":' * 200_000)
@example(b"9" * 500_000)
@example(b"-" + b"9" * 5000 + b".5")
@example(b"1" + b"0" * 400 + b".0")
@example(b"0e99999999999999999999")
def test_json_is_read_strictly_or_refused(raw: bytes) -> None:
    try:
        value = parse_json(raw)
    except InvalidRequest as error:
        check_sentence(error)
        return
    for text in texts_in(value):
        assert "\0" not in text
        text.encode()


# ---------------------------------------------------------------- headers
_RANGE_TEXT = st.lists(st.sampled_from(["bytes", "=", "-", ",", " ", "0", "1", "9" * 20, "٢", "x", ";"]), max_size=8)


@fuzz
@given(_RANGE_TEXT.map("".join) | st.text(max_size=30), st.integers(0, 2**62))
@example("bytes=²-³", 10)
def test_a_range_lies_within_the_file_or_is_refused(header: str, size: int) -> None:
    try:
        part = part_of(header, size)
    except InvalidRequest as error:
        check_sentence(error)
        return
    assert part is None or 0 <= part.start < part.end <= size


@fuzz
@given(st.text(max_size=60))
def test_what_a_build_names_never_breaks_a_header(text: str) -> None:
    names_tag(text, '"tag"')
    for header in (disposition(text), plain_type(text)):
        assert header.isascii()
        assert header.isprintable()
    assert disposition(text).count('"') == 2
