"""Calls that change what waits, against a real socket; and the whole way of a bundle and a key against a real API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from buildyard.client import ProducerClient
from buildyard.contracts.annotations import AnnotationRequest, AnnotationStyle
from buildyard.contracts.api import BuildRequest
from buildyard.contracts.builds import BuildProperties, Priority
from buildyard.errors import InvalidRequest, NotFound
from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply

ID = answers.BUILD_ID


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


async def test_a_pool_is_paused_resumed_and_asked_for_its_events(server: FakeServer) -> None:
    counts: dict[str, object] = {"ready": 0, "waiting": 2, "leases": 0, "oldestWaitSeconds": None}
    counts |= {"agents": {}, "generations": {}}
    pool = {"name": "linux", **counts, "intake": {"paused": True, "reason": "Why.", "by": "ann", "since": answers.AT}}
    server.on("POST", "/api/v1/pools/linux/pause", pool)
    server.on("POST", "/api/v1/pools/linux/resume", {**pool, "intake": {}})
    server.on("GET", "/api/v1/pools/linux/events", {"events": []})
    async with ProducerClient(server.url) as client:
        paused = await client.pause_pool("linux", "Why.")
        resumed = await client.resume_pool("linux")
        assert (await client.pool_events("linux")).events == ()
        with pytest.raises(NotFound):
            await client.pause_pool("../agents")
    assert (paused.intake.paused, paused.intake.by, resumed.intake.paused) == (True, "ann", False)
    assert server.seen[0].json() == {"reason": "Why."}


async def test_words_are_pinned_and_read_and_a_retry_says_what_it_wants(server: FakeServer) -> None:
    pinned = {"context": "default", "style": "Error", "text": "Look here.", "at": answers.AT, "requester": "ann"}
    server.on("POST", f"/api/v1/builds/{ID}/annotations", pinned)
    server.on("GET", f"/api/v1/builds/{ID}/annotations", {"annotations": [pinned]})
    server.on("POST", f"/api/v1/builds/{ID}/retry", answers.accepted())
    async with ProducerClient(server.url) as client:
        one = await client.annotate(ID, AnnotationRequest(text="Look here.", style=AnnotationStyle.ERROR))
        assert (await client.annotations(ID)).annotations == (one,)
        for failed_only in (True, False, None):
            await client.retry(ID, failed_only=failed_only)

    assert server.seen[0].json() == {"text": "Look here.", "style": "error", "context": "default"}
    assert [seen.body for seen in server.seen[2:]] == [b'{"failedOnly":true}', b'{"failedOnly":false}', b""]


async def test_a_priority_is_set_and_a_key_goes_along_where_it_is_given(server: FakeServer, tmp_path: Path) -> None:
    server.on("POST", f"/api/v1/builds/{ID}/priority", answers.status(priority="High"))
    for path in ("/upload", "/api/v1/builds", f"/api/v1/builds/{ID}/retry", f"/api/v1/dead/{ID}/requeue"):
        server.on("POST", path, answers.accepted())
    source = tmp_path / "src.zip"
    source.write_bytes(b"PK\3\4")
    request = BuildRequest(job=BuildProperties(repository_url="https://github.com/a/b.git"))
    async with ProducerClient(server.url) as client:
        assert (await client.set_priority(ID, Priority.HIGH)).priority == "High"
        await client.upload(source, key="one")
        await client.submit(request, key="two")
        await client.retry(ID, key="three")
        await client.requeue(ID, key="four")
        await client.submit(request)
    assert [seen.headers.get("Idempotency-Key") for seen in server.seen] == [None, "one", "two", "three", "four", None]


async def test_a_bundle_is_written_whole_or_not_at_all(server: FakeServer, tmp_path: Path) -> None:
    zipped = tmp_path / "made.zip"
    with ZipFile(zipped, "w") as archive:
        archive.writestr("a", "a")
    server.on("GET", f"/api/v1/builds/{ID}/artifacts.zip", Reply(pieces=(zipped.read_bytes(),)))
    target = tmp_path / "got.zip"
    async with ProducerClient(server.url) as client:
        await client.bundle(ID, target)
        with pytest.raises(NotFound):
            await client.bundle("no-such-build", tmp_path / "none.zip")
        with pytest.raises(InvalidRequest, match="cannot be written"):
            await client.bundle(ID, tmp_path / "no" / "folder.zip")
    assert target.read_bytes() == zipped.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["got.zip", "made.zip"]
