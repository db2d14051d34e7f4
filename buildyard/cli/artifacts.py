"""`buildyard artifacts`: what a build made, listed and fetched; every file is verified before it has its name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath

from buildyard.cli.exits import OK
from buildyard.cli.output import Output, clock_time, size
from buildyard.cli.progress import transfer
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.api import ArtifactView
from buildyard.errors import InvalidRequest, NotFound


async def list_artifacts(session: Session, build_id: str, *, as_json: bool) -> int:
    """List a build's artifacts."""
    async with session.producer() as producer:
        listed = await producer.artifacts(build_id)
    if as_json:
        session.output.json(listed.wire())
    elif not listed.artifacts:
        session.output.remark("This build has no artifacts.")
    else:
        rows = [
            (entry.path, size(entry.size_bytes), entry.content_type, clock_time(entry.created_at), entry.sha256_hash)
            for entry in listed.artifacts
        ]
        session.output.table(("PATH", "SIZE#", "TYPE", "CREATED", "SHA256"), rows, spare=("CREATED", "TYPE"))
    return OK


async def get_artifacts(session: Session, build_id: str, names: tuple[str, ...], folder: Path, *, as_json: bool) -> int:
    """Download artifacts below `folder`, all of them or those that `names` match.

    Raises:
        NotFound: a name matches nothing.
        InvalidRequest: an artifact's path leaves the folder.
    """
    async with session.producer() as producer:
        wanted = chosen((await producer.artifacts(build_id)).artifacts, names)
        targets = [(entry, target_of(folder, entry)) for entry in wanted]
        for entry, target in targets:
            await fetch(session.output, producer, entry, target)
            if not as_json:
                session.output.line(f"{target}  {size(entry.size_bytes)}  sha256 {entry.sha256_hash} verified")
    if as_json:
        files = [
            {"name": entry.name, "path": entry.path, "file": str(target), "sha256": entry.sha256_hash, "verified": True}
            for entry, target in targets
        ]
        session.output.json({"artifacts": files})
    elif not targets:
        session.output.remark("This build has no artifacts.")
    return OK


async def fetch(output: Output, producer: ProducerClient, artifact: ArtifactView, target: Path) -> None:
    """Download one artifact, with a bar on a terminal."""
    with transfer(output, artifact.name) as moved:
        await producer.download(artifact, target, moved)


def chosen(artifacts: tuple[ArtifactView, ...], names: tuple[str, ...]) -> list[ArtifactView]:
    """Those artifacts that a name or pattern matches, by name or by path; all where none is given.

    Raises:
        NotFound: a name matches nothing.
    """
    for name in names:
        if not any(_matches(entry, name) for entry in artifacts):
            raise NotFound(f"No artifact is called {name}.", remedy="buildyard artifacts list shows them all.")
    return [entry for entry in artifacts if not names or any(_matches(entry, name) for name in names)]


def _matches(artifact: ArtifactView, pattern: str) -> bool:
    return fnmatchcase(artifact.name, pattern) or fnmatchcase(artifact.path, pattern)


def target_of(folder: Path, artifact: ArtifactView) -> Path:
    """Where an artifact goes below `folder`.

    Raises:
        InvalidRequest: its path is absolute or climbs out; the build chose it, so it is not to be trusted.
    """
    path = PurePosixPath(artifact.path)
    windows = PureWindowsPath(artifact.path)
    if path.is_absolute() or windows.drive or windows.root or ".." in path.parts + windows.parts or not path.parts:
        raise InvalidRequest(f"The artifact {artifact.path!r} would leave the folder {folder}, so it is not fetched.")
    return folder.joinpath(*path.parts)
