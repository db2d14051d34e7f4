"""Fetching a git repository with the git program, told to trust nothing: neither its URL nor what it holds."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path
from urllib.parse import quote

from buildyard.contracts.builds import GitSource, StageName
from buildyard.contracts.sources import (
    LocalAddress,
    RemoteAddress,
    check_ref,
    check_url,
    is_link_local,
    is_public,
    shown,
)
from buildyard.errors import Forbidden, HostileArchive, InvalidRequest, NotFound, ObjectsUnavailable, TemporaryError
from worker.attempt import Attempt
from worker.process import EndedBy, ProcessEnd, RawLines, Sink, run

_RESOLVE_SECONDS = 10.0
_GIT_SECONDS = 3600.0
_ALWAYS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "core.sshCommand=false",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "init.defaultBranch=main",
    "init.templateDir=",
    "maintenance.auto=false",
    "protocol.allow=never",
    "submodule.recurse=false",
    "transfer.fsckObjects=true",
)
_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "LC_ALL": "C",
}


async def fetch_git(attempt: Attempt, source: GitSource) -> None:
    """Check the repository's ref out into the workspace's sources.

    Raises:
        Forbidden: URL or ref are not allowed, or the repository needs a login.
        NotFound: it has no such ref.
        HostileArchive: its files are more, or larger, than an archive's may be.
        TemporaryError: the host cannot be reached, or git failed.
    """
    git = _Git(attempt)
    hosts = attempt.settings.listed("git_hosts")
    roots = attempt.settings.listed("git_local_roots")
    try:
        address = check_url(source.url, hosts, local_allowed=bool(roots))
        ref = check_ref(source.ref)
    except InvalidRequest as error:  # here it is the source that is refused, not a request
        raise Forbidden(str(error), remedy=error.remedy) from error
    if isinstance(address, LocalAddress):
        url = f"file://{quote(str(await asyncio.to_thread(_allowed_path, address.path, roots)))}"
        options: tuple[str, ...] = ("protocol.file.allow=always",)
    else:
        url = address.url
        options = (f"protocol.{address.scheme}.allow=always", *await _pinned(attempt, address))
    await attempt.note(StageName.FETCH, f"git fetch --depth 1 {shown(url)} {ref}")
    await git.do(("init", "--quiet"))
    fetch = ("fetch", "--quiet", "--depth", "1", "--no-tags", "--no-recurse-submodules", "--no-write-commit-graph")
    await git.fetch((*fetch, "--end-of-options", url, ref), options, ref)
    await git.check_size()
    await git.do(("checkout", "--quiet", "--detach", "FETCH_HEAD"))
    commit = await git.do(("rev-parse", "FETCH_HEAD"))
    await attempt.note(StageName.FETCH, f"checked out commit {commit.tail[-1] if commit.tail else ref}")


def _allowed_path(path: str, roots: tuple[str, ...]) -> Path:
    """The real path of a local repository, if it lies below one of the allowed folders."""
    real = Path(path).resolve()
    if any(real.is_relative_to(Path(root).resolve()) for root in roots):
        return real
    raise Forbidden(
        "The local repository lies outside the folders that may be built from.",
        remedy="BUILDYARD_GIT_LOCAL_ROOTS lists them.",
    )


async def _pinned(attempt: Attempt, address: RemoteAddress) -> tuple[str, ...]:
    """Resolve the host once, judge its addresses, and hold git to them, so that no second answer can differ."""
    proxied = any(name.lower() in {"https_proxy", "all_proxy", "http_proxy"} for name in attempt.environment)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(
                address.host.strip("[]"), address.port, type=socket.SOCK_STREAM
            )
    except (OSError, TimeoutError) as error:
        if proxied and not address.named_by_operator:
            return ()  # behind a proxy only the proxy resolves; the allow-list of hosts stands
        raise ObjectsUnavailable(f"The address of {address.host} could not be found.") from error
    addresses = sorted({str(entry[4][0]) for entry in found})
    for one in addresses:
        if is_link_local(one) or not (address.named_by_operator or is_public(one)):
            raise Forbidden(f"The host {address.host} has the private address {one}, which is not fetched from.")
    listed = ",".join(f"[{one}]" if ":" in one else one for one in addresses)
    return (f"http.curloptResolve={address.host}:{address.port}:{listed}",)


class _Git:
    """The git program in one workspace."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def do(self, arguments: tuple[str, ...]) -> ProcessEnd:
        """Run a command that is expected to succeed; its output goes to the log, when there is any."""
        end = await self._run(arguments, (), self._to_log)
        if end.exit_code != 0:
            raise _failure(arguments[0], end)
        return end

    async def fetch(self, arguments: tuple[str, ...], options: tuple[str, ...], ref: str) -> None:
        """Run the fetch; what it says decides what its failure is called."""
        end = await self._run(arguments, options, self._to_log)
        if end.exit_code == 0:
            return
        said = "\n".join(end.tail)
        if re.search(r"couldn't find remote ref|not our ref|no such remote ref", said):
            raise Forbidden(f"The repository has no branch, tag or commit named {shown(ref)}.")
        if re.search(r"could not read (Username|Password)|Authentication failed|403|401", said):
            raise Forbidden("The repository does not exist, or may not be read without a login.")
        if re.search(r"unable to update url base from redirection|requested URL returned error: 30\d", said):
            raise Forbidden("The repository's address leads to another one; give that one.")
        if re.search(r"repository .* not found|does not appear to be a git repository|not a git repository", said):
            raise NotFound("There is no git repository at this address.")
        raise _failure("fetch", end)

    async def check_size(self) -> None:
        """Refuse a tree beyond the budgets of an archive before any of it is checked out."""
        settings = self._attempt.settings
        entries = size = 0

        async def count(lines: RawLines) -> None:
            nonlocal entries, size
            for line, _ in lines:
                fields = line.split(None, 4)
                entries += 1
                size += int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else 0  # noqa: PLR2004 - its column

        end = await self._run(("ls-tree", "-r", "-l", "FETCH_HEAD"), (), count)
        if end.exit_code != 0:
            raise _failure("ls-tree", end)
        if entries > settings.unpack_max_entries or size > settings.unpack_max_bytes:
            raise HostileArchive(
                f"The repository holds {entries:,} files of {size:,} bytes, which is more than allowed."
            )

    async def _run(self, arguments: tuple[str, ...], options: tuple[str, ...], sink: Sink) -> ProcessEnd:
        attempt = self._attempt
        settings = tuple(word for option in (*_ALWAYS, *options) for word in ("-c", option))
        argv = (attempt.tools.paths["git"], *settings, *arguments)
        launch = attempt.launch(argv, attempt.workspace.src, _ENVIRONMENT, _GIT_SECONDS)
        return await run(launch, sink, attempt.stop)

    async def _to_log(self, lines: RawLines) -> None:
        await self._attempt.log.write(StageName.FETCH, lines)


def _failure(verb: str, end: ProcessEnd) -> TemporaryError:
    if end.ended_by is EndedBy.TIMED_OUT:
        return TemporaryError(f"git {verb} took more than {_GIT_SECONDS / 60:.0f} minutes.")
    said = next((line for line in reversed(end.tail) if line.startswith(("fatal:", "error:"))), "")
    return TemporaryError(f"git {verb} failed: {said or 'the log tells more'}.")
