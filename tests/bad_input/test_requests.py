"""The whole table of bad requests against one real producer, which must come out of it unharmed.

Every answer is the expected problem with a sentence for a person; none is a 500, none tells of the inside. After the
whole table the producer is well, as small as before, and has written nothing outside its data folder.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.bad_input.addresses import ADDRESSES, NOBODY
from tests.bad_input.builds import BUILDS
from tests.bad_input.cases import BELOW, Case, parameters
from tests.bad_input.downloads import BEYOND_THE_LAST, CONTENT, LAST_EVENT_IDS, PROJECT, RANGES, TAGS
from tests.bad_input.raw_http import TOKEN, Answer, get, request, upload
from tests.bad_input.refused_later import REFUSED_LATER, Refused
from tests.bad_input.running import RunningProducer, healthy, running_producer, running_worker
from tests.bad_input.uploads import FILENAMES, UPLOADS, named

pytestmark = pytest.mark.journey

CASES = (*UPLOADS, *BUILDS, *ADDRESSES)
MOST_GROWTH_MB = 60.0
LONGEST_SENTENCE = 400
_INSIDE = re.compile(r'Traceback|File "|\.py\b|sqlalchemy|pydantic|starlette|asyncio|object at 0x', re.IGNORECASE)
_SECRETS = re.compile(r"hunter2|er2@|nobody's business")


@dataclass(frozen=True)
class Begun:
    """The producer, and how it was before the table: memory in MB, files outside its data folder."""

    producer: RunningProducer
    build: str
    artifact: str
    memory_mb: float
    outside: dict[str, bytes]


def _short(header: str) -> str:
    return ascii(header[:30])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Begun]:
    """One producer for the whole table; a worker finished one build of it and is gone."""
    with ExitStack() as stack:
        producer = stack.enter_context(running_producer(tmp_path_factory.mktemp("bad-input")))
        with running_worker(producer):
            build = producer.ask(upload(PROJECT, "digits.zip")).json["links"]["self"]
            producer.ask(get(f"{build}/events"))  # ends with the build
        artifacts = producer.ask(get(f"{build}/artifacts")).json["artifacts"]
        assert [one["name"] for one in artifacts] == ["digits.txt"], producer.ask(get(build)).text
        producer.forget_peak()
        yield Begun(producer, build, artifacts[0]["downloadUrl"], producer.memory_mb(), producer.outside())


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_bad_request_ends_in_its_problem(case: Case, begun: Begun) -> None:
    answer = begun.producer.ask(case.request, leave=case.leave)

    assert answer.status == case.status, answer.text[:500]
    assert not _INSIDE.search(answer.text)
    assert not _SECRETS.search(answer.text)
    if case.code == BELOW:
        assert case.words in answer.text
    elif answer.status:
        _check_problem(answer, case)


def _check_problem(answer: Answer, case: Case) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["status"], problem["code"]) == (case.status, case.code)
    assert case.words in problem["detail"]
    assert len(problem["detail"]) <= LONGEST_SENTENCE
    assert problem["detail"].endswith(".")
    assert problem["detail"].isprintable()


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/builds", "GET, POST"),
        ("/api/v1/agents", "GET, POST"),
        ("/upload", "POST"),
        ("/api/v1/health/live", "GET"),
        (f"/api/v1/artifacts/{NOBODY}/download", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_that_are_right(path: str, allowed: str, begun: Begun) -> None:
    answer = begun.producer.ask(request("DELETE", path))

    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("refused", [pytest.param(one, id=one.name) for one in REFUSED_LATER])
def test_what_only_a_worker_can_judge_is_taken_in_as_it_is(refused: Refused, begun: Begun) -> None:
    answer = begun.producer.ask(upload(refused.content, refused.filename))

    assert answer.status == 202, answer.text
    build = begun.producer.ask(get(answer.json["links"]["self"])).json
    assert build["source"]["kind"].lower().replace(".", "") == refused.kind.wire.lower().replace(".", "")


@pytest.mark.parametrize("name", FILENAMES)
def test_a_file_name_loses_what_a_header_a_terminal_or_a_disk_would_obey(name: str, begun: Begun) -> None:
    said, kept = FILENAMES[name]

    answer = begun.producer.ask(named(said))

    assert answer.status == 202, answer.text
    build = begun.producer.ask(get(answer.json["links"]["self"])).json
    assert build["source"]["filename"] == kept
    assert re.fullmatch(r"[\w][\w .@+\-]*", build["projectName"])


@pytest.mark.parametrize("header", RANGES, ids=_short)
def test_a_range_is_a_part_or_the_whole_or_outside(header: str, begun: Begun) -> None:
    status, content = RANGES[header]

    answer = begun.producer.ask(get(begun.artifact, {"Range": header}))

    assert answer.status == status
    if status == 416:
        assert answer.json["code"] == "range_not_satisfiable"
        assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"
    else:
        assert answer.body == content


@pytest.mark.parametrize("header", TAGS, ids=_short)
def test_an_odd_tag_names_nothing(header: str, begun: Begun) -> None:
    tag = begun.producer.ask(get(begun.artifact)).headers["etag"]

    answer = begun.producer.ask(get(begun.artifact, {"If-None-Match": header.replace("{tag}", tag)}))

    assert (answer.status, answer.body) == (TAGS[header], CONTENT if TAGS[header] == 200 else b"")


@pytest.mark.parametrize("header", LAST_EVENT_IDS, ids=_short)
def test_a_last_event_id_that_is_none_begins_from_the_start(header: str, begun: Begun) -> None:
    answer = begun.producer.ask(get(f"{begun.build}/events", {"Last-Event-ID": header}))

    if header in BEYOND_THE_LAST:
        assert answer.status == 204
    else:
        assert answer.status == 200
        assert answer.text.startswith("id: 1\n") or "\nid: 1\n" in answer.text


def test_bodies_that_stop_coming_hold_nobody_else_up(begun: Begun) -> None:
    started = upload(PROJECT, "digits.zip")[:-40]
    waiting = [socket.create_connection(("127.0.0.1", begun.producer.port), timeout=60) for _ in range(100)]
    try:
        for connection in waiting:
            connection.sendall(started)
        assert healthy(begun.producer)
        assert begun.producer.ask(upload(PROJECT, "digits.zip")).status == 202
    finally:
        for connection in waiting:
            connection.close()


def test_after_all_of_it_the_producer_is_unharmed(begun: Begun) -> None:
    producer = begun.producer
    assert healthy(producer)
    assert producer.memory_mb("VmHWM") - begun.memory_mb < MOST_GROWTH_MB
    assert producer.outside() == begun.outside
    log = producer.log()
    assert not re.search(r"Traceback|request failed|status=5", log), log[-3000:]
    assert TOKEN not in log
    assert not _SECRETS.search(log)
    assert "\x1b[2J" not in log


def test_the_table_is_as_long_as_promised() -> None:
    assert len(CASES) + len(REFUSED_LATER) + len(FILENAMES) + len(RANGES) + len(TAGS) + len(LAST_EVENT_IDS) >= 150
