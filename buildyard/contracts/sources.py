"""Which repositories may be fetched: pure checks of what a user wrote, before git sees any of it.

The producer refuses by them when a build is asked for; the worker that fetches checks once more, and then the
address that the host's name stands for.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from buildyard.errors import Forbidden, InvalidRequest

_MAX_URL = 2048
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[A-Za-z0-9._~+@/-]+)"
)
_SSH_URL = re.compile(
    r"ssh://(?:(?P<user>[a-z_][a-z0-9_.-]{0,31})@)?(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[A-Za-z0-9._~+@/-]+)"
)
_SCP_LIKE = re.compile(
    r"(?P<user>[a-z_][a-z0-9_.-]{0,31})@(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r":(?P<path>[A-Za-z0-9._~+@][A-Za-z0-9._~+@/-]*)"
)
_ORIGIN = re.compile(r"(?P<scheme>https?|ssh)://(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?/?")
# a password may hold `@` and `/`, so the last `@` counts
_LOGIN = re.compile(r"(//|^(?!\S*//))(?:[^/\s:]*:\S*|[^/\s]*)@")
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+-]{0,254}")
_PORTS = {"https": 443, "http": 80, "ssh": 22}
_USUAL = frozenset({"https", "ssh"})
"""What a host's bare name allows, on its usual port."""
_URL_FIELD = "job.repositoryUrl"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class RemoteAddress:
    """A checked address on the network; `named_by_operator` when the settings name its very origin.

    `url` is what git gets; of ssh it names user and port.
    """

    url: str
    scheme: str
    host: str
    port: int
    named_by_operator: bool


@dataclass(frozen=True)
class LocalAddress:
    """A path on this machine, not yet compared with the allowed folders."""

    path: str


def check_url(url: str, allowed_hosts: Sequence[str], *, local_allowed: bool) -> RemoteAddress | LocalAddress:
    """Judge a repository's address.

    An entry of `allowed_hosts` is a host name, which allows `https://` and `ssh://` on their usual ports at public
    addresses, or an origin such as `http://git.corp:3000` or `ssh://git.corp:2222`, with which an operator vouches for
    a host inside too. `git@HOST:PATH` is read as `ssh://git@HOST/PATH`.

    Raises:
        InvalidRequest: the address is malformed, or of a kind that is not fetched.
        Forbidden: its host, or any local repository, is not allowed.
    """
    if len(url) > _MAX_URL:
        raise InvalidRequest(f"The repository's address is longer than {_MAX_URL} characters.", field=_URL_FIELD)
    if url.startswith(("/", "file:///")):
        return _local(url.removeprefix("file://"), url, allowed=local_allowed)
    match = _URL.fullmatch(url) or _SSH_URL.fullmatch(url) or _SCP_LIKE.fullmatch(url)
    if match is None or {".", ".."} & set(match["path"].split("/")):
        raise InvalidRequest(
            f"The repository's address {shown(url)} is not one that is fetched here.",
            remedy="Use https://HOST/PATH without a user name or password, or ssh://git@HOST/PATH.",
            field=_URL_FIELD,
        )
    found = match.groupdict()
    scheme, host = found.get("scheme") or "ssh", match["host"].lower()
    port = int(found.get("port") or _PORTS[scheme])
    address = url if scheme != "ssh" else f"ssh://{found['user'] or 'git'}@{host}:{port}/{found['path'].lstrip('/')}"
    if (scheme, host, port) in {_origin(word) for word in allowed_hosts}:
        return RemoteAddress(address, scheme, host, port, named_by_operator=True)
    if scheme in _USUAL and port == _PORTS[scheme] and host in {word.lower() for word in allowed_hosts}:
        return RemoteAddress(address, scheme, host, port, named_by_operator=False)
    raise Forbidden(
        f"Repositories of {shown(host)} over {scheme} on port {port} are not allowed on this farm.",
        remedy="BUILDYARD_GIT_HOSTS lists the allowed hosts.",
    )


def check_git_source(url: str, ref: str, allowed_hosts: Sequence[str], local_roots: Sequence[str]) -> None:
    """All that can be said of a repository and a ref without looking at either; raises as the parts of it do.

    `local_roots` are absolute folders below which local repositories are allowed.
    """
    check_ref(ref)
    address = check_url(url, allowed_hosts, local_allowed=bool(local_roots))
    if not isinstance(address, LocalAddress):
        return
    roots = [root.rstrip("/") + "/" for root in local_roots]
    if {"..", "."} & set(address.path.split("/")) or not any(address.path.startswith(root) for root in roots):
        raise Forbidden(
            "The local repository lies outside the folders that may be built from.",
            remedy="BUILDYARD_GIT_LOCAL_ROOTS lists them.",
        )


def _local(path: str, url: str, *, allowed: bool) -> LocalAddress:
    if not allowed:
        raise Forbidden(
            "Local repositories are not allowed on this farm.",
            remedy="BUILDYARD_GIT_LOCAL_ROOTS lists the folders whose repositories may be built.",
        )
    if not path.isprintable():
        raise InvalidRequest(
            f"The repository's path {shown(url)} holds characters that no path needs.", field=_URL_FIELD
        )
    return LocalAddress(path)


def _origin(word: str) -> tuple[str, str, int] | None:
    match = _ORIGIN.fullmatch(word)
    if match is None:
        return None
    return match["scheme"], match["host"].lower(), int(match["port"] or _PORTS[match["scheme"]])


def check_ref(ref: str) -> str:
    """Judge what to check out: a branch, a tag or a commit.

    Raises:
        InvalidRequest: it is no plain name.
    """
    odd = ".." in ref or "//" in ref or "/." in ref or ref.endswith(("/", ".", ".lock"))
    if odd or not _REF.fullmatch(ref):
        raise InvalidRequest(f"{shown(ref)} is not the plain name of a branch, a tag or a commit.", field="job.gitRef")
    return ref


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; embedded IPv4 addresses are looked at too."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.teredo is not None:
            return False
    return found.is_global and not found.is_multicast


def is_link_local(address: str) -> bool:
    """Whether an address is where clouds serve their metadata; no setting opens it."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (inner or found).is_link_local


def shown(text: str) -> str:
    """User text as it may stand in a sentence: short, printable, without a password."""
    masked = _LOGIN.sub(r"\1***@", text[:_MAX_URL])
    plain = "".join(char if char.isprintable() else "?" for char in masked[:80])
    return f"`{plain}{'…' if len(masked) > len(plain) else ''}`"
