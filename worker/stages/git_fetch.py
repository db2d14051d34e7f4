"""Fetching a git source: every address is judged, resolved once and held to, the submodules' as well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from buildyard.contracts.builds import GitSource
from buildyard.contracts.sources import (
    LocalAddress,
    RemoteAddress,
    check_ref,
    check_url,
    is_link_local,
    is_public,
    shown,
)
from buildyard.errors import Forbidden, InvalidRequest, ObjectsUnavailable
from worker.attempt import Attempt
from worker.git.credentials import DeployKey, Token, credential_for, load_credentials
from worker.git.repository import Budget, Origin, Repository
from worker.git.submodules import MAX_DEPTH, MAX_SUBMODULES, submodules_of
from worker.resolving import addresses_of

_RESOLVE_SECONDS = 10.0


async def fetch_git(attempt: Attempt, source: GitSource) -> None:
    """Check the repository's ref out into the workspace's sources, with its submodules where the source asks for them.

    Raises:
        Forbidden: URL or ref are not allowed, or the repository needs another login than the farm has.
        NotFound: there is no repository.
        HostileArchive: its files are more, or larger, than an archive's may be.
        InvalidSettings: the farm's file of credentials cannot be used.
        TemporaryError: the host cannot be reached, or git failed.
    """
    try:
        ref = check_ref(source.ref)
    except InvalidRequest as error:  # here it is the source that is refused, not a request
        raise Forbidden(str(error), remedy=error.remedy) from error
    await _Checkout(attempt, submodules=source.submodules).fetch(source.url, ref, attempt.workspace.src, 0)


class _Checkout:
    """One source with all its repositories, which share the budget of an archive."""

    def __init__(self, attempt: Attempt, *, submodules: bool) -> None:
        settings = attempt.settings
        self._attempt = attempt
        self._submodules = submodules
        self._budget = Budget(settings.unpack_max_entries, settings.unpack_max_bytes)
        self._repositories = 0

    async def fetch(self, url: str, ref: str, folder: Path, depth: int) -> None:
        """Fetch one repository, then those within it."""
        origin = await _origin(self._attempt, url)
        repository = Repository(self._attempt, folder, origin)
        await repository.note(f"git fetch {shown(origin.url)} {ref}")
        commit = await repository.fetch(ref)
        links = await repository.check_out(commit, self._budget)
        await repository.note(f"checked out commit {commit}")
        if not links:
            return
        if not self._submodules:
            await repository.note(f"{len(links)} submodules are left out: the build did not ask for them")
            return
        self._repositories += len(links)
        if depth >= MAX_DEPTH or self._repositories > MAX_SUBMODULES:
            bounds = f"more than {MAX_SUBMODULES} submodules, or more than {MAX_DEPTH} deep in each other"
            raise Forbidden(f"The repository has {bounds}.")
        for one in submodules_of(links, await repository.modules(commit), origin.address):
            inner = await asyncio.to_thread(_empty_folder, folder, one.path)
            await self.fetch(one.url, one.commit, inner, depth + 1)


def _empty_folder(parent: Path, path: str) -> Path:
    """The folder of a submodule, which git left empty; nothing the repository holds leads elsewhere."""
    folder = parent / path
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != parent.resolve() / path or any(folder.iterdir()):
        raise Forbidden(f"The folder of the submodule {shown(path)} is not an empty one of the repository's own.")
    return folder


async def _origin(attempt: Attempt, url: str) -> Origin:
    """Judge an address, resolve it, and find what the farm signs in with."""
    hosts, roots = attempt.settings.listed("git_hosts"), attempt.settings.listed("git_local_roots")
    try:
        address = check_url(url, hosts, local_allowed=bool(roots))
    except InvalidRequest as error:
        raise Forbidden(str(error), remedy=error.remedy) from error
    if isinstance(address, LocalAddress):
        path = await asyncio.to_thread(_allowed_path, address.path, roots)
        return Origin(
            f"file://{quote(str(path))}", address.path, ("protocol.file.allow=always",), {}, (), signed_in=False
        )
    credentials = await asyncio.to_thread(load_credentials, attempt.settings.git_credentials_file)
    key = credential_for(credentials, address.url)
    if address.scheme == "ssh" and not isinstance(key, DeployKey):
        raise Forbidden(
            f"The farm has no deploy key for {address.host}.",
            remedy="BUILDYARD_GIT_CREDENTIALS_FILE of the workers names tokens and deploy keys.",
        )
    found = await _resolved(attempt, address)
    allowed = f"protocol.{address.scheme}.allow=always"
    if isinstance(key, DeployKey):
        command = key.command(address.host, address.port, found[0] if found else None)
        return Origin(address.url, address.url, (allowed, f"core.sshCommand={command}"), {}, (), signed_in=True)
    pinned = (f"http.curloptResolve={address.host}:{address.port}:{_listed(found)}",) if found else ()
    if not isinstance(key, Token):
        return Origin(address.url, address.url, (allowed, *pinned), {}, (), signed_in=False)
    # in the environment, which only this user may read, and not on the command line, which everybody may
    header = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{address.url}.extraHeader",
        "GIT_CONFIG_VALUE_0": key.header,
    }
    return Origin(address.url, address.url, (allowed, *pinned), header, key.secrets, signed_in=True)


def _allowed_path(path: str, roots: Sequence[str]) -> Path:
    """The real path of a local repository, if it lies below one of the allowed folders."""
    real = Path(path).resolve()
    if any(real.is_relative_to(Path(root).resolve()) for root in roots):
        return real
    raise Forbidden(
        "The local repository lies outside the folders that may be built from.",
        remedy="BUILDYARD_GIT_LOCAL_ROOTS lists them.",
    )


async def _resolved(attempt: Attempt, address: RemoteAddress) -> tuple[str, ...]:
    """Resolve the host once and judge its addresses, so that no second answer can differ; none behind a proxy."""
    proxies = {f"{address.scheme}_proxy", "all_proxy"} if address.scheme != "ssh" else set()
    proxied = any(name.lower() in proxies for name in attempt.environment)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            addresses = await addresses_of(address.host, address.port)
    except (OSError, UnicodeError, TimeoutError) as error:
        if proxied and not address.named_by_operator:
            return ()  # behind a proxy only the proxy resolves; the allow-list of hosts stands
        raise ObjectsUnavailable(f"The address of {address.host} could not be found.") from error
    for one in addresses:
        if is_link_local(one) or not (address.named_by_operator or is_public(one)):
            raise Forbidden(f"The host {address.host} has the private address {one}, which is not fetched from.")
    return addresses


def _listed(addresses: Sequence[str]) -> str:
    return ",".join(f"[{one}]" if ":" in one else one for one in addresses)
