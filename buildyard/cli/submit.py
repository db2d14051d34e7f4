"""`buildyard submit`: a file goes up, a repository is named; either becomes a build, watched to its end on request."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from buildyard.cli.builds import watch
from buildyard.cli.exits import OK
from buildyard.cli.progress import transfer
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildAccepted, BuildRequest, project_name_of
from buildyard.errors import InvalidSettings, TemporaryError

_GIT_URL = re.compile(r"(?:https?|ssh|git|file)://\S+|[\w.-]+@[\w.-]+:\S+")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for; every word is still as it was typed."""

    source: str
    project: str | None = None
    pool: str = "linux"
    priority: str = "normal"
    strategy: str = "incremental"
    timeout_minutes: float = 60
    ref: str = "HEAD"
    configuration: str = "Release"
    properties: tuple[str, ...] = ()
    toolchain: str | None = None


async def submit(session: Session, wanted: Wanted, *, follow: bool, as_json: bool) -> int:
    """Ask for the build; with `follow` the exit code is the build's.

    Raises:
        InvalidSettings: the source is neither a file nor an address, or an option is wrong.
    """
    path = _file_of(wanted.source)
    request = request_of(wanted, None if path else wanted.source)
    async with session.producer() as producer:
        if path is None:
            accepted = await producer.submit(request)
        else:
            with transfer(session.output, path.name) as moved:
                accepted = await producer.upload(path, form_of(request), moved)
        _tell(session, accepted, as_json=as_json, follow=follow)
        if not follow:
            return OK
        return await _follow(session, producer, accepted, as_json=as_json)


async def retry(session: Session, build_id: str, *, follow: bool, as_json: bool) -> int:
    """Build an ended build again; with `follow` the exit code is the new build's."""
    async with session.producer() as producer:
        accepted = await producer.retry(build_id)
        _tell(session, accepted, as_json=as_json, follow=follow)
        if not follow:
            return OK
        return await _follow(session, producer, accepted, as_json=as_json)


async def _follow(session: Session, producer: ProducerClient, accepted: BuildAccepted, *, as_json: bool) -> int:
    try:
        return await watch(session, producer, accepted.execution_id, as_json=as_json)
    except (asyncio.CancelledError, TemporaryError):
        session.output.remark(
            f"The build may go on: `buildyard logs -f {accepted.execution_id}` watches it, "
            f"`buildyard cancel {accepted.execution_id}` ends it."
        )
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
    output.remark(f"Accepted, {_place(accepted)}. Watch it: buildyard logs -f {accepted.execution_id}")


def _place(accepted: BuildAccepted) -> str:
    ahead = accepted.queue_position
    return f"number {ahead} of its queue" if ahead else accepted.status.lower()


def _file_of(source: str) -> Path | None:
    """The file that is meant, or None for an address."""
    path = Path(source)
    if path.is_dir():
        raise InvalidSettings(
            f"{source} is a folder.", remedy="Pack it first, for example: git archive -o src.zip HEAD"
        )
    if path.exists():
        return path
    if _GIT_URL.fullmatch(source):
        return None
    raise InvalidSettings(f"{source} is neither a file nor the address of a repository.")


def request_of(wanted: Wanted, url: str | None) -> BuildRequest:
    """The request that the options mean; checked here, before gigabytes travel.

    Raises:
        InvalidSettings: an option is wrong.
    """
    last = wanted.source.rstrip("/").removesuffix(".git") if url else wanted.source
    job: dict[str, Any] = {
        "projectName": wanted.project or project_name_of(last),
        "repositoryUrl": url,
        "gitRef": wanted.ref,
        "configuration": wanted.configuration,
        "timeoutMinutes": wanted.timeout_minutes,
        "buildProperties": _properties(wanted.properties),
        "toolchain": wanted.toolchain,
    }
    full = {"job": job, "targetPool": wanted.pool, "strategy": wanted.strategy, "priority": wanted.priority}
    try:
        return BuildRequest.model_validate(full)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "job")
        raise InvalidSettings(f"{place} is wrong: {first['msg']}.", remedy="buildyard submit --help") from error


def _properties(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise InvalidSettings(f"The property {text!r} is not of the form NAME=VALUE.")
        found[name] = value
    return found


def form_of(request: BuildRequest) -> dict[str, str]:
    """The request as the form field that carries a whole one."""
    return {"request": request.model_dump_json(by_alias=True, exclude_none=True)}
