"""Paths as .NET files write them, made relative to the checkout: the one place that decides what stays inside."""

from __future__ import annotations

import re

from buildyard.errors import InvalidRequest

MAX_PATH_CHARACTERS = 1024
_SCHEME_OR_DRIVE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def folder_of(path: str) -> str:
    """The folder of a normalised path; "" for the top."""
    return path.rpartition("/")[0]


def resolve(folder: str, path: str) -> str:
    """The path, written relative to `folder`, as a normalised path from the top of the checkout.

    Both kinds of slash separate; letters keep their case. `folder` is normalised already, "" for the top.

    Raises:
        InvalidRequest: the path is empty, too long, absolute, a URL, or leaves the checkout.
    """
    plain = path.strip().replace("\\", "/")
    if not plain or len(plain) > MAX_PATH_CHARACTERS or any(ord(character) < ord(" ") for character in plain):
        raise InvalidRequest(f"{path[:60]!r} is no usable path.")
    if plain.startswith("/") or _SCHEME_OR_DRIVE.match(plain):
        raise InvalidRequest(f"{path[:60]!r} is not relative, so it cannot be inside the source.")
    parts = folder.split("/") if folder else []
    for part in plain.split("/"):
        if part == "..":
            if not parts:
                raise InvalidRequest(f"{path[:60]!r} leads outside the source.")
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)
