"""All artifacts in one zip: whole, verifiable, streamed, and harmless to unpack."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath
from typing import cast
from zipfile import ZipFile

import httpx
from hypothesis import given
from hypothesis import strategies as st

from buildyard.ports import ObjectStore
from orchestrator.api.bundles import SUMS, bundle, entry_names
from orchestrator.domain.records import StoredArtifact
from tests.orchestrator.api.fakes import ARTIFACT_ID, AT, BUILD_ID, OTHER_ID, Farm, artifact

BUNDLE = f"/api/v1/builds/{BUILD_ID}/artifacts.zip"


def stored(farm: Farm, path: str, body: bytes) -> None:
    record = artifact(body, hashlib.sha256(body).hexdigest()).model_copy(update={"path": path, "key": f"k/{path}"})
    farm.objects.kept[record.key] = body
    farm.views.stored.append(StoredArtifact(id=ARTIFACT_ID, build_id=BUILD_ID, created_at=AT, record=record))


async def test_a_bundle_holds_every_file_and_its_sums_verify(
    served: httpx.AsyncClient, farm: Farm, tmp_path: Path
) -> None:
    files = {"dist/a.whl": bytes(range(256)) * 4000, "dist/empty": b"", "report ü.txt": b"fine\n"}
    for path, body in files.items():
        stored(farm, path, body)

    answer = await served.get(BUNDLE)

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="artifacts-{BUILD_ID}.zip"')
    with ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist() if name != SUMS} == files
        archive.extractall(tmp_path)
    sha256sum = shutil.which("sha256sum")
    assert sha256sum is not None
    subprocess.run([sha256sum, "--quiet", "-c", SUMS], cwd=tmp_path, check=True)


async def test_a_known_bundle_is_304_and_one_of_no_build_404(client: httpx.AsyncClient, farm: Farm) -> None:
    tag = (await client.get(BUNDLE)).headers["ETag"]
    assert (await client.get(BUNDLE, headers={"If-None-Match": tag})).status_code == 304

    stored(farm, "a", b"a")
    assert (await client.get(BUNDLE, headers={"If-None-Match": tag})).status_code == 200
    assert (await client.get(f"/api/v1/builds/{OTHER_ID}/artifacts.zip")).status_code == 404


async def test_an_object_that_is_gone_is_told_before_the_first_byte(client: httpx.AsyncClient, farm: Farm) -> None:
    stored(farm, "a", b"a")
    farm.objects.kept.clear()

    assert (await client.get(BUNDLE)).status_code == 404


async def test_a_large_file_passes_in_pieces(farm: Farm) -> None:
    pieces, piece = 64, b"x" * 2**20

    class Endless:
        async def open(self, _key: str) -> AsyncIterator[bytes]:
            return self._pieces()

        async def _pieces(self) -> AsyncIterator[bytes]:
            for _ in range(pieces):
                yield piece

    stored(farm, "large", b"")
    sizes = [len(chunk) async for chunk in bundle(cast("ObjectStore", Endless()), farm.views.stored)]

    assert sum(sizes) > pieces * len(piece)
    assert max(sizes) < len(piece) + 1000


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows\\x",
    "a/../b",
    "\x1b[2J",
    "..",
    "",
    ".",
    "sha256sums",
    "x" * 300 + "../b",
    "." * 250 + "x",
    "a\0b",
]


@given(paths=st.lists(st.text(max_size=30) | st.sampled_from(HOSTILE), max_size=8))
def test_no_name_leaves_its_folder_and_no_two_are_alike(paths: list[str]) -> None:
    names = entry_names(paths)

    assert len({name.lower() for name in [*names, SUMS]}) == len(paths) + 1
    for name in names:
        path = PurePosixPath(name)
        assert name.isprintable()
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert not set(name) & {"\\", ":"}
