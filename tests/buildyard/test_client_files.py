"""Files through the client: uploads in constant memory, downloads that verify and go on after a break."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildyard.client import ProducerClient
from buildyard.contracts.api import ArtifactView
from buildyard.errors import InvalidRequest, InvalidUpload, ProducerUnavailable, TemporaryError
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Seen, problem

ID = answers.BUILD_ID


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


# ---------------------------------------------------------------- uploads


def _parts(seen: Seen) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart body: name -> (its header, its bytes)."""
    boundary = seen.headers["Content-Type"].split("boundary=")[1].encode()
    pieces = seen.body.split(b"--" + boundary)[1:-1]
    found = {}
    for piece in pieces:
        head, _, body = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        found[head.split(b'name="')[1].split(b'"')[0].decode()] = (head.decode(), body)
    return found


async def test_a_file_is_uploaded_with_its_fields_and_its_length(server: FakeServer, tmp_path: Path) -> None:
    server.on("POST", "/upload", Reply(202, answers.accepted()))
    path = tmp_path / 'a "b".zip'
    path.write_bytes(b"PK" * 1_500_000)
    told: list[tuple[int, int | None]] = []
    async with ProducerClient(server.url) as client:
        accepted = await client.upload(path, {"projectName": "ünï"}, lambda done, of: told.append((done, of)))
    assert accepted.execution_id == ID
    parts = _parts(server.seen[0])
    assert list(parts) == ["projectName", "file"]
    assert parts["projectName"][1].decode() == "ünï"
    assert 'filename="a %22b%22.zip"' in parts["file"][0]
    assert parts["file"][1] == path.read_bytes()
    assert int(server.seen[0].headers["Content-Length"]) == len(server.seen[0].body)
    assert told[-1] == (3_000_000, 3_000_000)
    assert len(told) == 3


async def test_a_stream_of_unknown_length_is_uploaded(server: FakeServer) -> None:
    server.on("POST", "/api/v1/jobs", Reply(201, answers.stored()))

    async def rows() -> AsyncIterator[bytes]:
        for row in (b"a,b\n", b"1,2\n"):
            yield row

    async with ProducerClient(server.url) as client:
        stored = await client.store_upload(rows(), filename="data.csv")
    assert stored.job_id == ID
    header, body = _parts(server.seen[0])["file"]
    assert 'filename="data.csv"' in header
    assert body == b"a,b\n1,2"


async def test_a_refused_upload_says_why(server: FakeServer, tmp_path: Path) -> None:
    server.on("POST", "/upload", problem(415, "invalid_upload", "It is no archive."))
    path = tmp_path / "x.zip"
    path.write_bytes(b"no")
    async with ProducerClient(server.url) as client:
        with pytest.raises(InvalidUpload, match="no archive"):
            await client.upload(path)


@pytest.mark.parametrize("name", ["", "missing.zip"])
async def test_a_file_that_cannot_be_read_is_refused_before_anything_is_sent(
    server: FakeServer, tmp_path: Path, name: str
) -> None:
    async with ProducerClient(server.url) as client:
        with pytest.raises(InvalidUpload):
            await client.upload(tmp_path / name)
    assert server.seen == []


async def test_a_file_that_grows_while_it_is_sent_is_refused(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"x" * (3 << 20))

    def grow(done: int, _of: int | None) -> None:
        if done == 1 << 20:
            with path.open("ab") as file:
                file.write(b"more")

    async with ProducerClient(server.url) as client:
        with pytest.raises(InvalidUpload, match="changed while"):
            await client.upload(path, {}, grow)


# ---------------------------------------------------------------- downloads


def _artifact(content: bytes, **more: Any) -> ArtifactView:
    sha256 = hashlib.sha256(content).hexdigest()
    return ArtifactView.model_validate(answers.artifact(sizeBytes=len(content), sha256Hash=sha256, **more))


def _serving(content: bytes, break_after: list[int]) -> Any:
    """Answer as a server with ranges does; each entry of `break_after` breaks one answer off there."""

    def route(seen: Seen) -> Reply:
        start = int(re.findall(r"\d+", seen.headers.get("Range", "bytes=0-"))[0])
        status = 206 if "Range" in seen.headers else 200
        if break_after:
            return Reply(status, pieces=(content[start : break_after.pop(0)],), breaks=True)
        return Reply(status, pieces=(content[start:],))

    return route


async def test_an_artifact_is_there_only_when_its_hash_is_right(server: FakeServer, tmp_path: Path) -> None:
    content = b"wheel" * 100_000
    artifact = _artifact(content)
    server.on("GET", f"/api/v1/artifacts/{artifact.id}/download", Reply(pieces=(content,)))
    target = tmp_path / "deep" / "a.whl"
    told: list[int] = []
    async with ProducerClient(server.url) as client:
        await client.download(artifact, target, lambda done, _of: told.append(done))
    assert target.read_bytes() == content
    assert told[-1] == len(content)
    assert [path.name for path in target.parent.iterdir()] == ["a.whl"]


async def test_an_artifact_with_a_wrong_hash_leaves_nothing(server: FakeServer, tmp_path: Path) -> None:
    artifact = _artifact(b"right")
    server.on("GET", f"/api/v1/artifacts/{artifact.id}/download", Reply(pieces=(b"wrong",)))
    async with ProducerClient(server.url) as client:
        with pytest.raises(TemporaryError, match="does not match its sha256"):
            await client.download(artifact, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


async def test_a_download_goes_on_where_it_broke_off(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytes(range(256)) * 4000
    artifact = _artifact(content)
    path = f"/api/v1/artifacts/{artifact.id}/download"
    server.on("GET", path, _serving(content, [300_000, 700_000]))
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    async with ProducerClient(server.url) as client:
        await client.download(artifact, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == content
    assert [seen.headers.get("Range") for seen in server.seen] == [None, "bytes=300000-", "bytes=700000-"]


async def test_a_download_that_never_moves_on_gives_up(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = _artifact(b"content")
    server.on("GET", f"/api/v1/artifacts/{artifact.id}/download", _serving(b"content", [0] * 9))
    monkeypatch.setattr(asyncio, "sleep", _no_wait)
    async with ProducerClient(server.url) as client:
        with pytest.raises(ProducerUnavailable, match="broke off"):
            await client.download(artifact, tmp_path / "a")
    assert not (tmp_path / "a").exists()


async def test_an_empty_artifact_is_downloaded(server: FakeServer, tmp_path: Path) -> None:
    artifact = _artifact(b"")
    server.on("GET", f"/api/v1/artifacts/{artifact.id}/download", Reply())
    async with ProducerClient(server.url) as client:
        await client.download(artifact, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b""


async def test_a_target_that_cannot_be_written_is_said_so(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    async with ProducerClient(server.url) as client:
        with pytest.raises(InvalidRequest, match="cannot be written"):
            await client.download(_artifact(b"x"), tmp_path / "file" / "a")


async def _no_wait(_seconds: float) -> None:
    """Stand in for `asyncio.sleep`."""
