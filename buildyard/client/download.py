"""Artifacts onto the disk: under a temporary name first, resumed after a break, renamed only when the hash is right."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import BinaryIO, Protocol

from buildyard.client.multipart import CHUNK_BYTES, Progress
from buildyard.client.saving import unwritable
from buildyard.client.transport import Answer, Transport
from buildyard.contracts.api import ArtifactView
from buildyard.errors import TemporaryError

_FRUITLESS_TRIES = 3
_PARTIAL = 206


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""

    def hexdigest(self) -> str:
        """The digest so far."""


async def download(
    transport: Transport, artifact: ArtifactView, target: Path, on_progress: Progress | None = None
) -> None:
    """Bring `artifact` to `target`, verified against its sha256; nothing is fetched where it is there already.

    Raises:
        TemporaryError: the connection kept breaking, or what came is not what was recorded.
        InvalidRequest: `target` cannot be written.
    """
    part = target.with_name(f".{target.name}.{artifact.sha256_hash[:12]}.part")
    try:
        if await asyncio.to_thread(_is_there, target, artifact):
            return
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        digest = await _complete(transport, artifact, part, on_progress)
        if digest != artifact.sha256_hash:
            await asyncio.to_thread(part.unlink)
            raise TemporaryError(
                f"The download of {artifact.path} does not match its sha256.",
                remedy="Try again; if it stays so, the object store's file is damaged.",
            )
        await asyncio.to_thread(part.replace, target)
    except OSError as error:
        raise unwritable(target, error) from error


async def _complete(transport: Transport, artifact: ArtifactView, part: Path, on_progress: Progress | None) -> str:
    """Fill `part`, going on where an earlier try broke off; gives the digest of all of it."""
    fruitless = 0
    while True:
        before = await asyncio.to_thread(_length, part)
        try:
            return await _fill(transport, artifact, part, on_progress)
        except TemporaryError as error:
            fruitless = 0 if await asyncio.to_thread(_length, part) > before else fruitless + 1
            if fruitless >= _FRUITLESS_TRIES:
                raise
            await asyncio.sleep(error.retry_after)


async def _fill(transport: Transport, artifact: ArtifactView, part: Path, on_progress: Progress | None) -> str:
    digest = hashlib.sha256()
    with await asyncio.to_thread(part.open, "ab+") as file:
        have = await asyncio.to_thread(_digest_of, file, digest)
        if have > artifact.size_bytes:
            have, digest = await asyncio.to_thread(file.truncate, 0), hashlib.sha256()
        if have < artifact.size_bytes or artifact.size_bytes == 0:
            headers = {"Range": f"bytes={have}-"} if have else {}
            path = f"/api/v1/artifacts/{artifact.id}/download"
            async with transport.open("GET", path, headers=headers) as answer:
                if have and answer.status != _PARTIAL:
                    have, digest = await asyncio.to_thread(file.truncate, 0), hashlib.sha256()
                await _append(answer, file, digest, artifact, have, on_progress)
    return digest.hexdigest()


async def _append(
    answer: Answer, file: BinaryIO, digest: _Digest, artifact: ArtifactView, have: int, on_progress: Progress | None
) -> None:
    async for chunk in answer.chunks():
        await asyncio.to_thread(file.write, chunk)
        digest.update(chunk)
        have += len(chunk)
        if on_progress:
            on_progress(have, artifact.size_bytes)
        if have > artifact.size_bytes:
            return


def _digest_of(file: BinaryIO, digest: _Digest) -> int:
    """Take what is already there into the digest; gives its length in bytes and leaves the position at the end."""
    file.seek(0)
    have = 0
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
        have += len(chunk)
    return have


def _is_there(target: Path, artifact: ArtifactView) -> bool:
    if not target.is_file() or target.stat().st_size != artifact.size_bytes:
        return False
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256_hash


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
