"""`buildyard submit`: a folder or file goes up, a repository is named; it becomes a build, watched on request."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from buildyard.archives import TAR_ZST
from buildyard.cli.builds import follow as follow_build
from buildyard.cli.builds import goes_on
from buildyard.cli.exits import OK
from buildyard.cli.folders import Folder, unreadable
from buildyard.cli.progress import transfer
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.client.multipart import Progress
from buildyard.client.once import answered_once
from buildyard.clock import SystemClock
from buildyard.contracts.api import BuildAccepted, BuildRequest, project_name_of
from buildyard.errors import InvalidRequest, InvalidSettings, TemporaryError
from buildyard.project.configuration import FILE_NAME, MAX_BYTES
from buildyard.project.reading import read_project_file
from buildyard.wording import plain

_KEY_REUSED = "key_reused"
_NEED = re.compile(r"([a-z][a-z0-9_+-]*)([\s<>=].*|)")
_GIT_URL = re.compile(r"(?:https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; every word is still as it was typed."""

    source: str
    project: str | None = None
    pool: str = "linux"
    priority: str = "normal"
    strategy: str | None = None
    """None: the farm's own choice, which warns of nothing."""
    timeout_minutes: float = 60
    ref: str = "HEAD"
    submodules: bool = False
    configuration: str = "Release"
    properties: tuple[str, ...] = ()
    toolchain: str | None = None
    needs: tuple[str, ...] = ()
    rows_per_job: int | None = None
    archive: str = TAR_ZST
    key: str = ""


async def submit(session: Session, wanted: Wanted, *, follow: bool, as_json: bool) -> int:
    """Ask for the build; with `follow` the exit code is the build's.

    Raises:
        InvalidSettings: the source is neither a folder, a file nor an address, or an option is wrong.
        InvalidUpload: the folder or file cannot be read.
    """
    path = _path_of(wanted.source)
    request = request_of(wanted, None if path else wanted.source)
    async with session.producer() as producer:
        accepted = await sent(session, producer, path, request, wanted)
        _tell(session, accepted, as_json=as_json, follow=follow)
        if not follow:
            return OK
        return await _follow(session, producer, accepted, as_json=as_json)


async def sent(
    session: Session, producer: ProducerClient, path: Path | None, request: BuildRequest, wanted: Wanted
) -> BuildAccepted:
    """Send a request, again when its connection breaks: under one key it is done once.

    Raises:
        InvalidRequest: what was packed changed between two tries, or a field is wrong.
    """
    key = wanted.key or SystemClock().new_id()
    output = session.output

    async def once(moved: Progress) -> BuildAccepted:
        if path is None:
            return await producer.submit(request, key=key)
        if folder is None:
            return await producer.upload(path, form_of(request), moved, key=key)
        async with aclosing(folder.packed(moved)) as pieces:
            return await producer.upload(pieces, form_of(request), filename=folder.filename, key=key)

    folder = await asyncio.to_thread(_folder, path, wanted.archive) if path else None
    for note in folder.content.skipped if folder else ():
        output.remark(note)
    label = folder.filename if folder else path.name if path else wanted.source
    try:
        with transfer(output, label) as moved:
            return await answered_once(lambda: once(moved), lambda error: output.remark(f"{error} Trying again."))
    except InvalidRequest as error:
        if error.code == _KEY_REUSED and not wanted.key:
            raise InvalidRequest(
                "The connection broke, and the source has changed since.",
                remedy="`buildyard builds` shows whether it was accepted before; if not, submit it again.",
            ) from error
        raise


async def retry(session: Session, build_id: str, *, failed_only: bool | None, follow: bool, as_json: bool) -> int:
    """Build an ended build again; with `follow` the exit code is the new build's."""
    key = SystemClock().new_id()
    async with session.producer() as producer:
        accepted = await answered_once(lambda: producer.retry(build_id, failed_only=failed_only, key=key))
        _tell(session, accepted, as_json=as_json, follow=follow)
        if not follow:
            return OK
        return await _follow(session, producer, accepted, as_json=as_json)


async def _follow(session: Session, producer: ProducerClient, accepted: BuildAccepted, *, as_json: bool) -> int:
    try:
        return await follow_build(session, producer, accepted.execution_id, as_json=as_json)
    except (asyncio.CancelledError, TemporaryError):
        goes_on(session, accepted.execution_id)
        raise


def _tell(session: Session, accepted: BuildAccepted, *, as_json: bool, follow: bool) -> None:
    output = session.output
    if follow:  # the report at the end has the warnings
        output.remark(f"Build {accepted.execution_id} is accepted, {_place(accepted)}.")
        return
    if as_json:
        output.json(accepted.wire())
        return
    for warning in accepted.warnings:
        output.remark(f"Warning: {warning}")
    output.line(accepted.execution_id)
    output.remark(f"Accepted, {_place(accepted)}. Watch it: buildyard watch {accepted.execution_id}")


def _place(accepted: BuildAccepted) -> str:
    ahead = accepted.queue_position
    return f"number {ahead} of its queue" if ahead else accepted.status.lower()


def _folder(path: Path, kind: str) -> Folder | None:
    if not path.is_dir():
        return None
    folder = Folder(path, kind)
    if folder.sends(FILE_NAME):
        check_configuration(path / FILE_NAME)
    return folder


def check_configuration(file: Path) -> None:
    """Say of a `buildyard.toml` what a worker would say of it, before anything travels.

    Raises:
        InvalidRequest: it cannot be followed.
        InvalidUpload: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(error, file) from error
    read_project_file(content)


def _path_of(source: str) -> Path | None:
    """The folder or file that is meant, or None for an address."""
    path = Path(source)
    if path.exists():
        return path
    if _GIT_URL.fullmatch(source):
        return None
    raise InvalidSettings(f"{source} is neither a folder, a file nor the address of a repository.")


def request_of(wanted: Wanted, url: str | None) -> BuildRequest:
    """The request that the options mean; checked here, before gigabytes travel.

    Raises:
        InvalidSettings: an option is wrong.
    """
    last = wanted.source.rstrip("/").removesuffix(".git") if url else Path(wanted.source).resolve().name
    job: dict[str, Any] = {
        "projectName": wanted.project or project_name_of(last),
        "repositoryUrl": url,
        "gitRef": wanted.ref,
        "submodules": wanted.submodules,
        "configuration": wanted.configuration,
        "timeoutMinutes": wanted.timeout_minutes,
        "buildProperties": _properties(wanted.properties),
        "toolchain": wanted.toolchain,
        "needs": _needs(wanted.needs),
        "rowsPerJob": wanted.rows_per_job,
    }
    full: dict[str, Any] = {"job": job, "targetPool": wanted.pool, "priority": wanted.priority}
    if wanted.strategy is not None:
        full["strategy"] = wanted.strategy
    try:
        return BuildRequest.model_validate(full)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "job")
        raise InvalidSettings(f"{place} is wrong: {plain(first['msg'])}.", remedy="buildyard submit --help") from error


def _properties(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidSettings(f"The property {text!r} is not of the form NAME=VALUE.")
        found[name] = value
    return found


def _needs(given: tuple[str, ...]) -> dict[str, Any] | None:
    """`dotnet>=8`, `git` or `memory=4 GiB`: tools by name, and the few words of `Needs` itself."""
    tools: dict[str, str] = {}
    others: dict[str, Any] = {}
    for text in given:
        found = _NEED.fullmatch(text.strip())
        if found is None:
            raise InvalidSettings(f"The need {text!r} is not of the form TOOL, TOOL>=VERSION or memory=SIZE.")
        name, bounds = found[1], found[2].strip()
        if name in {"os", "arch", "cores", "memory", "disk"}:
            value = bounds.lstrip("=").strip()
            others[name] = float(value) if name == "cores" and value.replace(".", "", 1).isdigit() else value
        else:
            tools[name] = bounds.removeprefix("=") if bounds.startswith("=") and bounds[1:2] != "=" else bounds
    return {**others, "tools": tools} if given else None


def form_of(request: BuildRequest) -> dict[str, str]:
    """The request as the form field that carries a whole one."""
    return {"request": request.model_dump_json(by_alias=True, exclude_none=True)}
