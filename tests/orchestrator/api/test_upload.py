"""Uploads through the whole application: what gets in, what is refused, and that nothing stays behind."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest

from buildyard.contracts.builds import Priority, UploadKind, UploadSource
from buildyard.errors import InvalidRequest, ObjectsUnavailable, StoreUnavailable
from tests.orchestrator.api.fakes import UPLOAD_ID, Farm

TAR_GZ = gzip.compress(b"a tar, for all the producer knows" * 100)
CSV = b"name,amount\nada,1\n"


def a_zip(*, encrypted: bool = False) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("setup.py", "print()")
    body = bytearray(target.getvalue())
    if encrypted:
        body[6] |= 1
    return bytes(body)


async def upload(
    client: httpx.AsyncClient,
    body: bytes = TAR_GZ,
    name: str = "src.tar.gz",
    path: str = "/upload",
    **fields: str,
) -> httpx.Response:
    return await client.post(path, files={"file": (name, body)}, data=fields)


@pytest.mark.parametrize(
    ("name", "body", "kind"),
    [
        ("src.tar.gz", TAR_GZ, UploadKind.TAR_GZ),
        ("src.zip", a_zip(), UploadKind.ZIP),
        ("named-wrongly.csv", a_zip(), UploadKind.ZIP),
        ("src.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(50), UploadKind.TAR_ZST),
        ("data.csv", CSV, UploadKind.CSV),
        ("data.CSV", "\ufeffäöü;x\n1;2\n".encode(), UploadKind.CSV),
    ],
    ids=["tar.gz", "zip", "named wrongly", "tar.zst", "csv", "CSV"],
)
async def test_an_upload_is_told_by_its_first_bytes_stored_and_submitted(
    client: httpx.AsyncClient, farm: Farm, name: str, body: bytes, kind: UploadKind
) -> None:
    answer = await upload(client, body, name)

    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == answer.json()["links"]["self"]
    _, source = farm.service.submitted[0]
    assert isinstance(source, UploadSource)
    assert (source.kind, source.size_bytes, source.filename) == (kind, len(body), name)
    assert source.sha256 == hashlib.sha256(body).hexdigest()
    assert farm.objects.kept == {f"uploads/{source.upload_id}": body}


async def test_form_fields_say_how_to_build_in_either_spelling(client: httpx.AsyncClient, farm: Farm) -> None:
    answer = await upload(
        client,
        project_name="my-project",
        timeoutMinutes="12.5",
        run_tests="false",
        priority="Critical",
        targetPool="Windows",
        metadata='{"ticket": "AB-1"}',
    )

    assert answer.status_code == 202, answer.text
    request, _ = farm.service.submitted[0]
    assert (request.job.project_name, request.job.timeout_minutes, request.job.run_tests) == ("my-project", 12.5, False)
    assert (request.priority, request.pool) == (Priority.CRITICAL, "windows")
    assert request.job.metadata == {"ticket": "AB-1"}


async def test_the_field_request_takes_a_whole_request_and_flat_fields_join_it(
    client: httpx.AsyncClient, farm: Farm
) -> None:
    whole = json.dumps({"job": {"projectName": "one", "runTests": False}, "priority": "Low"})

    answer = await upload(client, request=whole, configuration="Debug")

    assert answer.status_code == 202, answer.text
    request, _ = farm.service.submitted[0]
    assert (request.job.project_name, request.job.configuration, request.priority) == ("one", "Debug", Priority.LOW)


async def test_fields_may_come_before_and_after_the_file(client: httpx.AsyncClient, farm: Farm) -> None:
    body = form(("priority", None, b"High"), ("file", "a.csv", CSV), ("project_name", None, b"late"))

    answer = await post_form(client, body)

    assert answer.status_code == 202, answer.text
    request, _ = farm.service.submitted[0]
    assert (request.job.project_name, request.priority) == ("late", Priority.HIGH)


async def test_a_project_without_a_name_gets_that_of_its_file(client: httpx.AsyncClient, farm: Farm) -> None:
    await upload(client, name="../evil/we?b shop.tar.gz")

    request, source = farm.service.submitted[0]
    assert request.job.project_name == "we-b shop"
    assert isinstance(source, UploadSource)
    assert source.filename == "we?b shop.tar.gz"


async def test_who_asks_is_told_by_the_token_and_not_by_the_body(client: httpx.AsyncClient, farm: Farm) -> None:
    await upload(client)

    assert farm.service.requesters == ["local"]


BOUNDARY = b"----boundary"


def form(*parts: tuple[str, str | None, bytes], end: bytes = b"--\r\n") -> bytes:
    """A form by hand: name, file name or None, value."""
    body = b""
    for name, filename, value in parts:
        named = b"" if filename is None else f'; filename="{filename}"'.encode()
        body += b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"' + named
        body += b"\r\n\r\n" + value + b"\r\n"
    return body + b"--" + BOUNDARY + end


async def post_form(client: httpx.AsyncClient, body: bytes, path: str = "/upload") -> httpx.Response:
    kind = f"multipart/form-data; boundary={BOUNDARY.decode()}"
    return await client.post(path, content=body, headers={"Content-Type": kind})


WITH_REPOSITORY = b'{"job": {"repositoryUrl": "https://x/y"}}'
FILE = ("file", "src.tar.gz", TAR_GZ)
REFUSED_FORMS: list[Any] = [
    pytest.param(form(("file", "a.zip", b"")), 400, "empty", id="empty file"),
    pytest.param(form(("project_name", None, b"x")), 400, "no field `file`", id="no file"),
    pytest.param(form(("upload", "a.zip", a_zip())), 400, "Name the field `file`", id="file under another name"),
    pytest.param(form(FILE, FILE), 400, "more than one", id="two files"),
    pytest.param(form(FILE, end=b""), 400, "closing boundary", id="no closing boundary"),
    pytest.param(form(FILE)[:-60], 400, "closing boundary", id="cut within the file"),
    pytest.param(b"", 400, "closing boundary", id="no bytes"),
    pytest.param(b"no form at all", 400, "broken", id="no form"),
    pytest.param(form(FILE).replace(b'name="file"; ', b""), 400, "broken", id="part without a name"),
    pytest.param(form(("file", "a.zip", a_zip(encrypted=True))), 400, "encrypted", id="encrypted zip"),
    pytest.param(form(("file", "a.exe", b"MZ" + bytes(200))), 415, "first bytes", id="a program"),
    pytest.param(form(("file", "a.zip", b"text, named zip")), 415, "first bytes", id="text named zip"),
    pytest.param(form(("file", "a.csv", "a,b\n".encode("utf-16"))), 415, "UTF-8", id="UTF-16 table"),
    pytest.param(form(("file", "a.csv", b"a,b\n\xff\xfe,1\n")), 415, "UTF-8", id="broken UTF-8"),
    pytest.param(form(("file", "a.csv", b"a,b\0\n")), 415, "UTF-8", id="NUL in a table"),
    pytest.param(form(("file", "a.csv", b"\n1,2\n")), 415, "column names", id="table without a header"),
    pytest.param(form(("file", "a.csv", b"\x1b[2Ja,b\n")), 415, "column names", id="control codes in the header"),
    pytest.param(form(("file", "big.tar.gz", TAR_GZ + bytes(9 * 2**20))), 413, "larger", id="over the limit"),
    pytest.param(form(FILE, ("nonsense", None, b"1")), 422, "nonsense", id="unknown field"),
    pytest.param(form(FILE, ("timeoutMinutes", None, b"soon")), 422, "timeoutMinutes", id="no number"),
    pytest.param(form(FILE, ("timeoutMinutes", None, b"nan")), 422, "timeoutMinutes", id="not a number"),
    pytest.param(form(FILE, ("timeoutMinutes", None, b"-1")), 422, "timeoutMinutes", id="negative timeout"),
    pytest.param(form(FILE, ("priority", None, b"Urgent")), 422, "priority", id="unknown priority"),
    pytest.param(form(FILE, ("git_url", None, b"https://x/y")), 422, "source itself", id="repository with upload"),
    pytest.param(form(FILE, ("request", None, WITH_REPOSITORY)), 422, "source itself", id="repository in the request"),
    pytest.param(form(FILE, ("request", None, b"{")), 400, "JSON", id="request is no JSON"),
    pytest.param(form(FILE, ("request", None, b"[1]")), 422, "JSON object", id="request is no object"),
    pytest.param(form(FILE, ("request", None, b'{"job": 1}')), 422, "job", id="job is no object"),
    pytest.param(form(FILE, ("metadata", None, b'{"a": 1, "a": 2}')), 400, "twice", id="a name twice"),
    pytest.param(form(FILE, ("priority", None, b"Low"), ("priority", None, b"High")), 422, "twice", id="field twice"),
    pytest.param(form(FILE, ("projectName", None, b"a"), ("project_name", None, b"b")), 422, "twice", id="both names"),
    pytest.param(form(FILE, ("project_name", None, b"\xff")), 422, "UTF-8", id="field is no UTF-8"),
    pytest.param(form(FILE, ("project_name", None, b"a\0b")), 400, "cannot be kept", id="NUL in a field"),
    pytest.param(form(FILE, ("metadata", None, b'{"a": "\\ud800"}')), 400, "cannot be kept", id="half a character"),
    pytest.param(form(FILE, *[(f"f{n}", None, b"") for n in range(201)]), 413, "fields", id="too many fields"),
    pytest.param(form(FILE, ("metadata", None, bytes(2**20 + 1))), 413, "fields", id="fields too long"),
    pytest.param(form(FILE, ("configuration", None, b"x; rm -rf /")), 422, "configuration", id="a command as a value"),
    pytest.param(form(FILE, ("build_properties", None, b'{"OutDir": "a;b"}')), 422, "OutDir", id="odd property"),
]


@pytest.mark.parametrize(("body", "status", "said"), REFUSED_FORMS)
async def test_a_wrong_form_is_a_clear_problem_and_leaves_nothing(
    client: httpx.AsyncClient, farm: Farm, body: bytes, status: int, said: str
) -> None:
    answer = await post_form(client, body)

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert said in problem["detail"] + problem["remedy"]
    assert farm.objects.kept == {}
    assert farm.service.submitted == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/zip", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "x" * 300, 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(client: httpx.AsyncClient, farm: Farm, kind: str, status: int) -> None:
    answer = await client.post("/upload", content=TAR_GZ, headers={"Content-Type": kind})

    assert answer.status_code == status, answer.text
    assert "curl" in answer.json()["remedy"]


async def test_a_table_cut_within_a_character_at_the_first_piece_is_still_a_table(
    client: httpx.AsyncClient, farm: Farm
) -> None:
    body = b"a,b\nx" + "ä".encode() * 2**20

    answer = await upload(client, body, "data.csv")

    assert answer.status_code == 202, answer.text
    assert farm.objects.largest_piece < 3 * 2**20


async def test_what_the_service_refuses_leaves_nothing(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.service.failure = InvalidRequest("There is no pool 'mars'.", field="targetPool")

    answer = await upload(client, targetPool="mars")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "targetPool")
    assert farm.objects.kept == {}


async def test_an_upload_whose_acceptance_is_uncertain_is_kept_for_the_sweep(
    client: httpx.AsyncClient, farm: Farm
) -> None:
    farm.service.failure = StoreUnavailable("The database cannot be reached.", retry_after=2.5)

    answer = await upload(client)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "3")
    assert [key.split("/")[0] for key in farm.objects.kept] == ["uploads"]


async def test_a_store_that_is_away_is_a_problem_to_be_tried_again(client: httpx.AsyncClient, farm: Farm) -> None:
    farm.objects.failure = ObjectsUnavailable("The object store cannot be reached.")

    answer = await upload(client)

    assert (answer.status_code, answer.json()["code"]) == (503, "objects_unavailable")


async def test_an_upload_can_be_kept_and_started_later(client: httpx.AsyncClient, farm: Farm) -> None:
    stored = await upload(client, path="/api/v1/jobs")
    assert stored.status_code == 201, stored.text
    assert stored.headers["Location"] == f"/api/v1/jobs/{stored.json()['jobId']}/build"
    assert list(farm.objects.kept) == [f"uploads/{farm.service.kept[0].upload_id}"]

    started = await client.post(f"/api/v1/jobs/{UPLOAD_ID}/build", json={"project_name": "later"})

    assert started.status_code == 202, started.text
    assert farm.service.started[0][1].job.project_name == "later"


async def test_a_kept_upload_takes_no_fields_and_no_repository(client: httpx.AsyncClient, farm: Farm) -> None:
    assert (await upload(client, path="/api/v1/jobs", priority="High")).status_code == 422
    assert farm.objects.kept == {}
    refused = await client.post(f"/api/v1/jobs/{UPLOAD_ID}/build", json={"git_url": "https://x/y"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "job.repositoryUrl")


@pytest.mark.parametrize("upload_id", ["nonsense", "01938a2e-0000-7d8e-9f00-123456789abc"])
async def test_an_unknown_upload_is_404(client: httpx.AsyncClient, upload_id: str) -> None:
    answer = await client.post(f"/api/v1/jobs/{upload_id}/build", json={"project_name": "x"})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@asynccontextmanager
async def begun_upload(
    served: httpx.AsyncClient, length: int, expect: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which the head of an upload was sent."""
    host, port = served.base_url.host, served.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = f"POST /upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n{expect}"
        writer.write(head.encode() + b"Content-Type: multipart/form-data; boundary=" + BOUNDARY + b"\r\n\r\n")
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(served: httpx.AsyncClient, farm: Farm) -> None:
    async with asyncio.timeout(60):
        async with begun_upload(served, 9_000_000) as (_, writer):
            writer.write(form(FILE, end=b"")[: -len(BOUNDARY) - 4] + bytes(3 * 2**20))
            await writer.drain()
            await farm.objects.begun.wait()
        await farm.objects.cleaned.wait()

    assert farm.objects.kept == {}
    assert farm.service.submitted == []


async def test_a_body_that_stops_coming_is_given_up(served: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.streams.STALL_SECONDS", 0.05)

    async with begun_upload(served, 5000) as (reader, _):
        assert b" 408 " in await reader.readline()


async def test_an_announced_size_over_the_limit_is_refused_before_it_is_sent(served: httpx.AsyncClient) -> None:
    async with begun_upload(served, 9_000_000_000, "Expect: 100-continue\r\n") as (reader, _):
        assert b" 413 " in await reader.readline()


async def test_a_refused_upload_is_answered_while_the_client_still_sends(served: httpx.AsyncClient) -> None:
    answer = await upload(served, b"MZ" + bytes(7 * 2**20), "program.exe")

    assert answer.status_code == 415
    assert (await upload(served)).status_code == 202
