"""Publishing: what a build made goes to the object store, hashed on the way."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path

from buildyard.contracts.builds import ArtifactRecord, StageName
from buildyard.errors import ObjectsUnavailable, TemporaryError, TooLarge
from worker.attempt import Attempt
from worker.globs import matches
from worker.stages.files import open_regular, regular_files
from worker.stages.project import Project
from worker.toolchains.contract import ArtifactGlob

MAX_ARTIFACTS = 10_000
_USUAL_FOLDERS = ("dist", "out", "artifacts")
_CHUNK_BYTES = 1024 * 1024
_PUTS_AT_ONCE = 4
_TRIES = 6
_MAX_PATH_BYTES = 600
_MAX_PART_BYTES = 200
_ODD = re.compile(r"[^\w .+@%=,~()/-]")
_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".nupkg": "application/zip",
    ".pdf": "application/pdf",
    ".tgz": "application/gzip",
    ".txt": "text/plain",
    ".whl": "application/zip",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


@dataclass(frozen=True)
class Found:
    """A file to publish: where it lies, and its path among the artifacts."""

    file: Path
    path: str


async def publish(attempt: Attempt, project: Project) -> tuple[ArtifactRecord, ...]:
    """Collect and store the artifacts of a finished build.

    Raises:
        TooLarge: there are more than MAX_ARTIFACTS, or more bytes than an archive may unpack to.
        ObjectsUnavailable: the object store stayed away.
    """
    globs = await asyncio.to_thread(_globs, project)
    found = await asyncio.to_thread(collect, attempt.workspace.src, attempt.workspace.out, globs)
    total = await asyncio.to_thread(lambda: sum(one.file.lstat().st_size for one in found))
    if total > attempt.settings.unpack_max_bytes:
        raise TooLarge(f"The artifacts have {total:,} bytes together, which is more than allowed.")
    return await store_all(attempt, found)


def _globs(project: Project) -> tuple[ArtifactGlob, ...]:
    own = project.context.config.artifacts.paths
    if own:
        return tuple(ArtifactGlob(path) for pattern in own for path in (pattern, f"{pattern.rstrip('/')}/**"))
    root = project.choice.detection.root
    places = {"", "" if root == "." else f"{root}/"}
    usual = tuple(ArtifactGlob(f"{place}{folder}/**") for place in sorted(places) for folder in _USUAL_FOLDERS)
    return (*project.choice.toolchain.artifacts(project.context), *usual)


def collect(src: Path, out: Path, globs: Iterable[ArtifactGlob]) -> tuple[Found, ...]:
    """The regular files that fit a pattern, each once, with paths that are unique and plain; blocks.

    Raises:
        TooLarge: there are too many.
    """
    globs = tuple(globs)
    paths = _Paths()
    found: list[Found] = []
    for place, root in (("out", out), ("source", src)):
        here = [glob for glob in globs if glob.place == place]
        for path, file in regular_files(root) if here else ():
            glob = next((glob for glob in here if matches(glob.pattern, path)), None)
            if glob is None:
                continue
            if len(found) >= MAX_ARTIFACTS:
                raise TooLarge(
                    f"The build made more than {MAX_ARTIFACTS:,} artifacts.",
                    remedy="Pack them, or name those to keep in buildyard.toml.",
                )
            found.append(Found(file, paths.take(_plain(_stripped(path, glob.strip)))))
    return tuple(found)


def _stripped(path: str, strip: str) -> str:
    prefix = f"{strip.strip('/')}/"
    return path.removeprefix(prefix) if strip else path


def _plain(path: str) -> str:
    """A path that can be a key, a file name anywhere and a part of a URL; of one too long the end tells most."""
    text = _ODD.sub("_", path.encode("utf-8", "replace").decode())
    parts = [part.encode()[-_MAX_PART_BYTES:].decode("utf-8", "ignore") for part in text.split("/")]
    while len("/".join(parts).encode()) > _MAX_PATH_BYTES:
        parts.pop(0)
    return "/".join(part if part.strip(". ") else "_" for part in parts)


class _Paths:
    """Hands out paths that no other artifact has, letter case aside, and none of which is a folder of another."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, wanted: str) -> str:
        """`wanted`, or the nearest that is free: with a number before its suffix, flat where a folder is taken."""
        if any(folder in self._files for folder in _folders(wanted)):
            wanted = wanted.replace("/", "-")
        stem, dot, suffix = wanted.rpartition(".") if "." in _last(wanted)[1:] else (wanted, "", "")
        path, number = wanted, 1
        while path.casefold() in self._files or path.casefold() in self._folders:
            number += 1
            path = f"{stem}-{number}{dot}{suffix}"
        self._files.add(path.casefold())
        self._folders.update(_folders(path))
        return path


def _folders(path: str) -> list[str]:
    parts = path.casefold().split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]


async def store_all(attempt: Attempt, found: tuple[Found, ...]) -> tuple[ArtifactRecord, ...]:
    """Store files as artifacts, a few at a time.

    Raises:
        ObjectsUnavailable: the object store stayed away.
        TemporaryError: the attempt was stopped.
    """
    names = _names(tuple(one.path for one in found))
    gate = asyncio.Semaphore(_PUTS_AT_ONCE)

    async def store(one: Found) -> ArtifactRecord:
        async with gate:
            record = await _store(attempt, one, names[one.path])
            await attempt.log.note(
                StageName.PUBLISH, f"{record.path}  {record.size_bytes:,} bytes  sha256 {record.sha256}"
            )
            return record

    tasks = [asyncio.create_task(store(one)) for one in found]
    try:
        return tuple(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _names(paths: tuple[str, ...]) -> dict[str, str]:
    """Path -> name: the last part where only one artifact has it, else the whole path."""
    counts: dict[str, int] = {}
    for path in paths:
        counts[_last(path)] = counts.get(_last(path), 0) + 1
    return {path: _last(path) if counts[_last(path)] == 1 else path for path in paths}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


async def _store(attempt: Attempt, one: Found, name: str) -> ArtifactRecord:
    key = f"{attempt.spec.output_prefix}artifacts/{one.path}"
    pause = 0.5
    for _ in range(_TRIES - 1):
        try:
            return await _put(attempt, one, name, key)
        except ObjectsUnavailable as error:
            await attempt.log.note(StageName.PUBLISH, f"{one.path} waits for the object store: {error}")
        await asyncio.sleep(pause)
        pause *= 2
    return await _put(attempt, one, name, key)


async def _put(attempt: Attempt, one: Found, name: str, key: str) -> ArtifactRecord:
    digest = hashlib.sha256()
    size = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal size
        with os.fdopen(await asyncio.to_thread(open_regular, one.file), "rb") as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                if attempt.stop.stopped():
                    raise TemporaryError("Publishing was stopped before its end.")
                await asyncio.to_thread(digest.update, chunk)
                size += len(chunk)
                yield chunk

    await attempt.objects.put(key, chunks())
    suffix = f".{one.path.rpartition('.')[2].lower()}" if "." in _last(one.path) else ""
    return ArtifactRecord(
        name=name,
        path=one.path,
        size_bytes=size,
        content_type=_TYPES.get(suffix, "application/octet-stream"),
        sha256=digest.hexdigest(),
        key=key,
    )
