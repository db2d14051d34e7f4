"""Bringing an upload into the workspace: downloaded, verified, unpacked."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from buildyard.archives import Budget, extract
from buildyard.contracts.builds import StageName, UploadKind, UploadSource
from buildyard.errors import ObjectsUnavailable, TemporaryError
from worker.attempt import Attempt
from worker.streams import closed

CSV_NAME = "rows.csv"
"""What an uploaded CSV is called below the sources."""


async def fetch_upload(attempt: Attempt, source: UploadSource) -> None:
    """Put the upload's content into the workspace's sources; a CSV becomes the one file CSV_NAME.

    When everything in an archive lies in one folder, that folder becomes the top.

    Raises:
        HostileArchive, InvalidUpload: the archive is refused, with its reason.
        NotFound: the object store does not hold the upload any more.
        Overloaded: the disk is full.
        TemporaryError: the object store cannot be reached, or hands out other bytes than were uploaded.
    """
    workspace = attempt.workspace
    if source.kind is UploadKind.CSV:
        await _download(attempt, source, workspace.src / CSV_NAME)
        return
    archive = workspace.root / "upload"
    await _download(attempt, source, archive)
    settings = attempt.settings
    budget = Budget(
        max_entries=settings.unpack_max_entries,
        max_bytes=settings.unpack_max_bytes,
        max_entry_bytes=settings.unpack_max_bytes,
    )
    found = await asyncio.to_thread(extract, archive, source.kind.value, workspace.src, budget, attempt.stop.stopped)
    await asyncio.to_thread(archive.unlink)
    if found.common_root is not None:
        await asyncio.to_thread(_lift, workspace.src, found.common_root, workspace.root / "lifted")
    for note in found.skipped:
        await attempt.note(StageName.FETCH, note)
    await attempt.note(StageName.FETCH, f"unpacked {found.files:,} files, {found.bytes:,} bytes")


async def _download(attempt: Attempt, source: UploadSource, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("xb") as file:

        def keep(chunk: bytes) -> None:
            digest.update(chunk)
            file.write(chunk)

        async with closed(await attempt.objects.open(source.key)) as chunks:
            async for chunk in chunks:
                if attempt.stop.stopped():
                    raise TemporaryError("The download was stopped before its end, as asked.")
                await asyncio.to_thread(keep, chunk)
    if digest.hexdigest() != source.sha256:
        raise ObjectsUnavailable("The object store handed out other bytes than were uploaded.")


def _lift(src: Path, folder: str, aside: Path) -> None:
    """Make a folder of the sources the sources themselves."""
    (src / folder).rename(aside)
    src.rmdir()
    aside.rename(src)
