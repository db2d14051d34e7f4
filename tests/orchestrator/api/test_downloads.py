"""Downloads: whole, in parts, unchanged; and names and types that a build made up do no harm."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import InvalidRequest
from orchestrator.api.ranges import disposition, part_of, plain_type
from tests.orchestrator.api.fakes import ARTIFACT_ID, Farm, artifact

DOWNLOAD = f"/api/v1/artifacts/{ARTIFACT_ID}/download"
BODY = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _stored(farm: Farm) -> None:
    farm.views.record = artifact(BODY, SHA256)
    farm.objects.kept[farm.views.record.key] = BODY


async def test_an_artifact_comes_whole_under_its_hash(served: httpx.AsyncClient) -> None:
    answer = await served.get(DOWNLOAD)

    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["ETag"] == f'"{SHA256}"'
    assert answer.headers["Content-Length"] == str(len(BODY))
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="result.txt"')
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=255990-", 255_990, 256_000),
        ("bytes=-7", 255_993, 256_000),
        ("bytes=-999999", 0, 256_000),
        ("bytes=5-9999999", 5, 256_000),
    ],
)
async def test_a_range_is_answered_in_part(served: httpx.AsyncClient, wanted: str, start: int, end: int) -> None:
    answer = await served.get(DOWNLOAD, headers={"Range": wanted})

    assert (answer.status_code, answer.content) == (206, BODY[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/256000"


@pytest.mark.parametrize("wanted", ["bytes=256000-", "bytes=-0", "bytes=999999999-"])
async def test_a_range_behind_the_end_is_416(client: httpx.AsyncClient, wanted: str) -> None:
    answer = await client.get(DOWNLOAD, headers={"Range": wanted})

    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */256000")
    assert answer.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=1-2,5-6", "bytes=9-5", "bytes=-", "bytes=x-y", "nonsense"])
async def test_a_range_that_is_none_is_passed_over(client: httpx.AsyncClient, wanted: str) -> None:
    assert (await client.get(DOWNLOAD, headers={"Range": wanted})).status_code == 200


async def test_a_known_artifact_is_not_sent_again(client: httpx.AsyncClient) -> None:
    for known in (f'"{SHA256}"', f'"other", W/"{SHA256}"', "*"):
        answer = await client.get(DOWNLOAD, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
    assert (await client.get(DOWNLOAD, headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_part_of_something_else_is_answered_whole(client: httpx.AsyncClient) -> None:
    part = {"Range": "bytes=0-9"}

    assert (await client.get(DOWNLOAD, headers={**part, "If-Range": '"other"'})).status_code == 200
    assert (await client.get(DOWNLOAD, headers={**part, "If-Range": f'"{SHA256}"'})).status_code == 206


async def test_head_tells_the_size_without_the_bytes(served: httpx.AsyncClient) -> None:
    answer = await served.head(DOWNLOAD)

    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "256000", b"")


async def test_an_object_that_is_gone_is_404(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.objects.kept.clear()

    assert (await client.get(DOWNLOAD)).status_code == 404


async def test_a_hostile_name_and_type_become_plain_headers(client: httpx.AsyncClient, farm: Farm) -> None:
    name = 'a"; filename="evil.exe\r\nSet-Cookie: x=1; ../../é\u202e.html'
    farm.views.record = artifact(BODY, SHA256, name=name, content_type="text/html\r\nX-Evil: 1")

    answer = await client.get(DOWNLOAD)

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert "set-cookie" not in answer.headers
    assert "x-evil" not in answer.headers
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"é_.html\"; filename*=UTF-8''%C3%A9%E2%80%AE.html".replace("é", "_")
    )


@given(name=st.text(max_size=80))
def test_no_name_breaks_out_of_its_header(name: str) -> None:
    header = disposition(name)

    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    assert ";" not in header.split('"')[1]


@given(kind=st.text(max_size=80))
def test_no_type_breaks_out_of_its_header(kind: str) -> None:
    assert plain_type(kind).isascii()
    assert plain_type(kind).isprintable()


@given(header=st.from_regex(r"\Abytes=\d{0,4}-\d{0,4}\Z"), size=st.integers(0, 2000))
def test_a_part_lies_within_its_file(header: str, size: int) -> None:
    with suppress(InvalidRequest):
        part = part_of(header, size)
        assert part is None or 0 <= part.start < part.end <= size
