"""One repository in one folder, fetched by the git program, which is told to trust nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildyard.contracts.builds import StageName
from buildyard.contracts.sources import shown
from buildyard.errors import Forbidden, HostileArchive, NotFound, TemporaryError
from worker.attempt import Attempt
from worker.git.submodules import LINK, MAX_SUBMODULES
from worker.process import EndedBy, ProcessEnd, RawLines, Sink, run

_GIT_SECONDS = 3600.0
_LISTED_BYTES = 2**20
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
_FETCH = ("fetch", "--quiet", "--no-recurse-submodules", "--no-write-commit-graph")
_EVERYTHING = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_NO_REF = re.compile(r"couldn't find remote ref|not our ref|no such remote ref")
_NOT_BY_COMMIT = re.compile(r"does not allow request for unadvertised object|" + _NO_REF.pattern)
_NOT_SHALLOW = re.compile(r"does not support shallow|dumb http transport")
_REFUSED = (
    (
        re.compile(r"Host key verification failed"),
        Forbidden,
        "The host's key is not the one that its known_hosts file names.",
    ),
    (
        re.compile(r"unable to update url base from redirection|requested URL returned error: 30\d"),
        Forbidden,
        "The repository's address leads to another one; give that one.",
    ),
    (
        re.compile(r"repository .* not found|does not appear to be a git repository|not a git repository"),
        NotFound,
        "There is no git repository at this address.",
    ),
)
_UNSOUND = re.compile(r"error: object [0-9a-f]+: (\w+: .{0,200})")
_LOGIN = re.compile(
    r"could not read (Username|Password)|Authentication failed|returned error: 40[13]|Permission denied \(|"
    r"remote: Repository not found"
)


@dataclass(frozen=True)
class Origin:
    """Where a repository is fetched from, with the settings and the environment that git needs for it alone.

    `url` is what git gets, `address` that from which relative addresses of submodules count.
    """

    url: str
    address: str
    options: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    signed_in: bool


@dataclass
class Budget:
    """What is left of the files and bytes that a source may have, its submodules included."""

    entries: int
    size: int

    def spend(self, entries: int, size: int) -> None:
        """Raises HostileArchive when it does not suffice."""
        self.entries -= entries
        self.size -= size
        if self.entries < 0 or self.size < 0:
            raise HostileArchive(
                f"The repository holds {entries:,} files of {size:,} bytes, which is more than allowed."
            )


class Repository:
    """The git program in one folder, with one origin."""

    def __init__(self, attempt: Attempt, folder: Path, origin: Origin) -> None:
        self._attempt = attempt
        self._folder = folder
        self._origin = origin
        self._secrets = tuple(secret.encode() for secret in origin.secrets)

    async def fetch(self, ref: str) -> str:
        """Fetch a branch, a tag or a commit, no more of the history than the server lets us; returns the commit.

        Raises:
            Forbidden: there is no such ref, or the repository may not be read.
            NotFound: there is no repository.
            TemporaryError: the host cannot be reached, or git failed.
        """
        await self.do(("init", "--quiet"))
        end = await self._fetch("--depth", "1", "--no-tags", refs=(ref,))
        if end.exit_code and _NOT_SHALLOW.search(self._said(end)):
            end = await self._fetch("--no-tags", refs=(ref,))
        if end.exit_code == 0:
            return await self.commit_of("FETCH_HEAD")
        if _COMMIT.fullmatch(ref) and _NOT_BY_COMMIT.search(self._said(end)):
            await self.note(f"the server hands out no single commit {ref}: fetching the whole history")
            end = await self._fetch("--force", refs=_EVERYTHING)
            if end.exit_code == 0:
                return await self._commit_in_history(ref)
        raise self._refusal(end, ref)

    async def check_out(self, commit: str, budget: Budget) -> tuple[bytes, ...]:
        """Write the files of a commit; returns the entries of its tree that stand for other repositories.

        Raises:
            HostileArchive: the files are too many or too large; nothing was written.
        """
        links = await self._spend(commit, budget)
        await self.do(("checkout", "--quiet", "--detach", commit))
        return links

    async def commit_of(self, name: str) -> str:
        """The commit that a name stands for."""
        end = await self.do(("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}"), quiet=True)
        return end.tail[-1]

    async def modules(self, commit: str) -> bytes:
        """What `.gitmodules` of a commit says, as `git config -z --list` tells it; nothing where there is none.

        Raises:
            HostileArchive: it is longer than a list of the most submodules could be.
        """
        parts: list[bytes] = []
        size = 0

        async def keep(lines: RawLines) -> None:
            nonlocal size
            for line, dropped in lines:
                size += len(line) + dropped
                parts.append(line)

        asked = ("config", "--blob", f"{commit}:.gitmodules", "-z", "--list", "--no-includes")
        end = await self._run(asked, (), keep)
        if size > _LISTED_BYTES:
            raise HostileArchive("The repository's .gitmodules is longer than is read here.")
        return b"\n".join(parts) if end.exit_code == 0 else b""

    async def note(self, text: str) -> None:
        """The worker's own words in the log."""
        await self._attempt.note(StageName.FETCH, text)

    async def do(self, arguments: tuple[str, ...], *, quiet: bool = False) -> ProcessEnd:
        """Run a command that is expected to succeed; its output goes to the log, when there is any."""
        end = await self._run(arguments, (), _nowhere if quiet else self._to_log)
        if end.exit_code != 0:
            raise self._failure(arguments[0], end)
        return end

    async def _fetch(self, *how: str, refs: tuple[str, ...]) -> ProcessEnd:
        origin = self._origin
        arguments = (*_FETCH, *how, "--end-of-options", origin.url, *refs)
        return await self._run(arguments, origin.options, self._to_log, origin.environment)

    async def _commit_in_history(self, ref: str) -> str:
        name = f"{ref}^{{commit}}"
        end = await self._run(("rev-parse", "--verify", "--quiet", "--end-of-options", name), (), _nowhere)
        if end.exit_code != 0 or not end.tail:
            raise Forbidden(f"The repository has no branch, tag or commit named {shown(ref)}.")
        return end.tail[-1]

    async def _spend(self, commit: str, budget: Budget) -> tuple[bytes, ...]:
        entries = size = 0
        links: list[bytes] = []

        async def count(lines: RawLines) -> None:
            nonlocal entries, size
            for line, _ in lines:
                fields = line.split(None, 4)
                entries += 1
                size += int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else 0  # noqa: PLR2004 - its column
                if line.startswith(LINK) and len(links) <= MAX_SUBMODULES:
                    links.append(line)

        end = await self._run(("ls-tree", "-r", "-l", "--full-tree", commit), ("core.quotePath=false",), count)
        if end.exit_code != 0:
            raise self._failure("ls-tree", end)
        budget.spend(entries, size)
        return tuple(links)

    async def _run(
        self,
        arguments: tuple[str, ...],
        options: tuple[str, ...],
        sink: Sink,
        environment: Mapping[str, str] | None = None,
    ) -> ProcessEnd:
        attempt = self._attempt
        settings = tuple(word for option in (*_ALWAYS, *options) for word in ("-c", option))
        argv = (attempt.tools.paths["git"], *settings, *arguments)
        launch = attempt.launch(argv, self._folder, {**_ENVIRONMENT, **(environment or {})}, _GIT_SECONDS)
        return await run(launch, sink, attempt.stop)

    async def _to_log(self, lines: RawLines) -> None:
        await self._attempt.log.write(StageName.FETCH, [(self._masked(line), dropped) for line, dropped in lines])

    def _masked(self, line: bytes) -> bytes:
        for secret in self._secrets:
            line = line.replace(secret, b"***")
        return line

    def _said(self, end: ProcessEnd) -> str:
        return self._masked("\n".join(end.tail).encode("utf-8", "replace")).decode("utf-8", "replace")

    def _refusal(self, end: ProcessEnd, ref: str) -> Exception:
        """What a fetch that failed is called, by what git said of it."""
        said = self._said(end)
        if _NO_REF.search(said):
            return Forbidden(f"The repository has no branch, tag or commit named {shown(ref)}.")
        if _LOGIN.search(said):
            why = "or the farm's credential may not read it" if self._origin.signed_in else "or needs a login"
            return Forbidden(
                f"The repository does not exist, {why}.",
                remedy="BUILDYARD_GIT_CREDENTIALS_FILE of the workers names tokens and deploy keys.",
            )
        if unsound := _UNSOUND.search(said):
            return Forbidden(f"git's own check refuses the repository: {unsound[1].rstrip('.')}.")
        for pattern, kind, sentence in _REFUSED:
            if pattern.search(said):
                return kind(sentence)
        return self._failure("fetch", end)

    def _failure(self, verb: str, end: ProcessEnd) -> TemporaryError:
        if end.ended_by is EndedBy.TIMED_OUT:
            return TemporaryError(f"git {verb} took more than {_GIT_SECONDS / 60:.0f} minutes.")
        lines = self._said(end).splitlines()
        said = next((line for line in reversed(lines) if line.startswith(("fatal:", "error:"))), "")
        return TemporaryError(f"git {verb} failed: {said or 'the log tells more'}.")


async def _nowhere(_: RawLines) -> None:
    return
