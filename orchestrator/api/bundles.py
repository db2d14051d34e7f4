"""All artifacts of a build as one zip, written as it is sent: memory holds a piece of a file, never a file.

The files are stored as they are; `SHA256SUMS` at the end lists them for `sha256sum -c`. Names lie inside the folder
in which the zip is unpacked, whatever a build called its files.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from fastapi import APIRouter, Header
from starlette.responses import Response

from buildyard.ports import ObjectStore
from orchestrator.api.documented import answers
from orchestrator.api.parts import BuildId, Parts
from orchestrator.api.ranges import disposition, names_tag
from orchestrator.api.streams import Primed, Streamed
from orchestrator.domain.records import StoredArtifact

router = APIRouter(prefix="/api/v1", tags=["artifacts"])

SUMS = "SHA256SUMS"
_LONGEST_PART = 200
_EARLIEST = 1980
_UNPACKED_AS = 0o644 << 16


@router.get(
    "/builds/{build_id}/artifacts.zip",
    operation_id="download_bundle",
    summary="Download all artifacts of a build as a zip",
    response_class=Response,
    responses={
        **answers(200, "(the zip's bytes)", 404, 410, 503, kind="application/zip"),
        304: {"description": "The bundle is the one that `If-None-Match` names."},
    },
)
async def download_bundle(
    build_id: BuildId, parts: Parts, known: Annotated[str | None, Header(alias="If-None-Match")] = None
) -> Response:
    """The files under their paths, and `SHA256SUMS`; a stream that breaks off is no whole zip, and is begun anew."""
    stored = await parts.views.stored_artifacts(build_id)
    headers = {"ETag": _tag(stored), "Content-Disposition": disposition(f"artifacts-{build_id}.zip")}
    if names_tag(known, headers["ETag"].removeprefix("W/")):
        return Response(status_code=304, headers=headers)
    return Streamed(await Primed.begin(bundle(parts.objects, stored)), media_type="application/zip", headers=headers)


async def bundle(objects: ObjectStore, stored: Sequence[StoredArtifact]) -> AsyncGenerator[bytes]:
    """The bytes of the zip.

    Raises:
        NotFound: a file's object is gone.
        ObjectsUnavailable: the object store does not answer.
    """
    sent = _Sent()
    names = entry_names([one.record.path for one in stored])
    with ZipFile(sent, "w", ZIP_STORED) as archive:
        for name, one in zip(names, stored, strict=True):
            with archive.open(_entry(name, one), "w", force_zip64=True) as entry:
                async for chunk in await objects.open(one.record.key):
                    entry.write(chunk)
                    yield sent.taken()
        sums = "".join(f"{one.record.sha256}  {name}\n" for name, one in zip(names, stored, strict=True))
        archive.writestr(SUMS, sums)
    yield sent.taken()


def entry_names(paths: Sequence[str]) -> list[str]:
    """Names for the zip, one a path and no two alike: relative, without `..`, without what a terminal would obey."""
    taken, names = {SUMS.lower()}, []
    for path in paths:
        parts = [part[:_LONGEST_PART] for part in re.split(r"[\\/]", path)]
        plain = "/".join(_plain(part) for part in parts if part.strip(". "))
        name = stem = plain or "artifact"
        number = 1
        while name.lower() in taken:
            number += 1
            name = f"{stem} ({number})"
        taken.add(name.lower())
        names.append(name)
    return names


def _plain(part: str) -> str:
    return "".join(mark if mark.isprintable() and mark != ":" else "_" for mark in part)


def _entry(name: str, one: StoredArtifact) -> ZipInfo:
    at = one.created_at
    entry = ZipInfo(name, (max(at.year, _EARLIEST), at.month, at.day, at.hour, at.minute, at.second))
    entry.external_attr = _UNPACKED_AS
    return entry


def _tag(stored: Sequence[StoredArtifact]) -> str:
    said = "\n".join(f"{one.record.sha256} {one.record.path}" for one in stored)
    return f'W/"{hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:32]}"'


class _Sent(io.RawIOBase):
    """What was written and not sent yet; it cannot be gone back to, and says so."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # zipfile writes bytes
        self._bytes += data
        return len(data)

    def taken(self) -> bytes:
        """What is to be sent now."""
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken
