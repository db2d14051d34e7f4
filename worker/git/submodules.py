"""Which repositories a tree asks for as submodules. Pure: what git printed in, what to fetch out.

`git submodule` itself is not used: it reads addresses and commands from a configuration that the repository wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buildyard.contracts.sources import shown
from buildyard.errors import Forbidden

MAX_SUBMODULES = 100
"""How many one source may have, those of its submodules included."""
MAX_DEPTH = 5
"""How deep they may lie in each other."""

LINK = b"160000 "
"""How an entry of a tree begins that stands for another repository."""
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Submodule:
    """A repository within another one: where it lies in the tree, whence it comes, and its commit."""

    path: str
    url: str
    commit: str


def submodules_of(links: Sequence[bytes], configuration: bytes, parent_url: str) -> tuple[Submodule, ...]:
    """What a tree wants, in its own order.

    `links` are its lines of `git ls-tree -r -l` that begin with LINK, `configuration` is the answer of
    `git config -z --list` about `.gitmodules`.

    Raises:
        Forbidden: a submodule has no address, an address that cannot be made out, or there are too many.
    """
    if len(links) > MAX_SUBMODULES:
        raise Forbidden(f"The repository has more than {MAX_SUBMODULES} submodules.")
    urls = _urls_by_path(configuration)
    found = []
    for path, commit in map(_link, links):
        url = urls.get(path)
        if not url:
            raise Forbidden(f"The submodule at {shown(path)} has no address in .gitmodules.")
        found.append(Submodule(path, resolved(parent_url, url), commit))
    return tuple(found)


def resolved(parent_url: str, url: str) -> str:
    """A submodule's address, which may be written relative to its parent's, as git reads it.

    Raises:
        Forbidden: it climbs above the parent's host or root folder.
    """
    if not url.startswith(("./", "../")):
        return url
    head, separator, path = parent_url.partition("://")
    host, _, path = path.partition("/") if separator else ("", "", parent_url.lstrip("/"))
    parts = [part for part in path.split("/") if part]
    for step in url.split("/"):
        if step == "..":
            if not parts:
                raise Forbidden(f"The submodule's address {shown(url)} climbs above its parent's host.")
            parts.pop()
        elif step not in {"", "."}:
            parts.append(step)
    start = f"{head}://{host}/" if separator else "/"
    return start + "/".join(parts)


def _link(line: bytes) -> tuple[str, str]:
    """Path and commit of an entry."""
    described, _, raw = line.partition(b"\t")
    fields = described.decode("ascii", "replace").split()
    commit = fields[2] if len(fields) > 2 else ""  # noqa: PLR2004 - mode, type, name
    path = raw.decode("utf-8", "replace")
    odd = not path.isprintable() or path.startswith(('"', "/")) or ".." in path.split("/")
    if odd or not _COMMIT.fullmatch(commit):
        raise Forbidden(f"The path of a submodule, {shown(path)}, is not one that is fetched here.")
    return path, commit


def _urls_by_path(configuration: bytes) -> Mapping[str, str]:
    fields: dict[str, dict[str, str]] = {}
    for entry in configuration.split(b"\0"):
        key, _, value = entry.decode("utf-8", "replace").partition("\n")
        if key.startswith("submodule.") and key.count(".") > 1:
            name, _, word = key.removeprefix("submodule.").rpartition(".")
            fields.setdefault(name, {})[word] = value
    return {one["path"]: one.get("url", "") for one in fields.values() if "path" in one}
