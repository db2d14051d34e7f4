"""Which entry names may become files, whatever the system they are unpacked on.

Pure: a name is judged from its text and from the names before it, never by asking the disk.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass, field

from buildyard.archives.refusals import refused, shown

MAX_COMPONENT_BYTES = 255  # what Linux, macOS and Windows file systems all take

# Control characters, line separators, and the marks that make a terminal show a name backwards.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_DRIVE = re.compile("[A-Za-z]:")
_WINDOWS_FORBIDDEN = re.compile('[<>:"|?*]|[. ]$')
_WINDOWS_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)


def path_of(name: str, *, max_bytes: int, max_depth: int, windows: bool = sys.platform == "win32") -> tuple[str, ...]:
    """Split an entry's name into the components of a path below the target folder.

    `.` and empty components fall away; `()` is the target folder itself. Raises HostileArchive for every name that
    could mean another place, here or on another system. `windows` adds what only Windows cannot store safely.
    """
    if _SURROGATE.search(name):
        raise refused(name, "has a name that is not UTF-8")
    if len(name.encode()) > max_bytes:
        raise refused(name, f"has a path longer than {max_bytes:,} bytes")
    if _CONTROL.search(name):
        raise refused(name, "has control characters in its name")
    if "\\" in name:
        raise refused(name, "has a backslash in its name", remedy="Pack with / between folders.")
    if name.startswith("/") or _DRIVE.match(name):
        raise refused(name, "has an absolute path", remedy="Pack with paths relative to the project's folder.")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if len(parts) > max_depth:
        raise refused(name, f"lies more than {max_depth} folders deep")
    for part in parts:
        _check_component(name, part, windows=windows)
    return parts


def _check_component(name: str, part: str, *, windows: bool) -> None:
    if part == "..":
        raise refused(name, "leaves its folder with '..'")
    if len(part.encode()) > MAX_COMPONENT_BYTES:
        raise refused(name, f"has a name longer than {MAX_COMPONENT_BYTES} bytes")
    if windows and (_WINDOWS_FORBIDDEN.search(part) or _WINDOWS_DEVICE.match(part)):
        raise refused(name, "has a name that Windows cannot store")


def is_macos_litter(parts: tuple[str, ...], *, is_folder: bool) -> bool:
    """Tell whether a path is what macOS adds to archives: `__MACOSX/`, and files `.DS_Store` and `._name`."""
    if parts[0] == "__MACOSX":
        return True
    last = parts[-1]
    return not is_folder and (last == ".DS_Store" or (last.startswith("._") and last != "._"))


@dataclass(slots=True)
class _Node:
    """One name that was seen; `children` is None for a file."""

    name: str
    children: dict[str, _Node] | None = field(default=None)


class NameTree:
    """Every path of one archive so far, folded so that names meet which a file system would merge."""

    def __init__(self) -> None:
        self._root: dict[str, _Node] = {}

    def add(self, entry: str, parts: tuple[str, ...], *, is_folder: bool) -> int:
        """Take a path in and return how many folders it implied that no entry had named before.

        The same folder may come again; the same file may not. Raises HostileArchive, with `entry` as the name to
        show, for a path that exists, a file where a folder is (or the reverse), and twins that differ in case or
        Unicode form only.
        """
        implied = 0
        level = self._root
        for position, part in enumerate(parts):
            last = position == len(parts) - 1
            key = _folded(part)
            node = level.get(key)
            if node is None:
                node = level[key] = _Node(part, {} if is_folder or not last else None)
                implied += not last
            else:
                _check_meeting(entry, node, part, wants_file=last and not is_folder)
            level = node.children if node.children is not None else {}
        return implied

    def only_top_folder(self) -> str | None:
        """Return the folder that holds every path, if there is exactly one name at the top and it is a folder."""
        if len(self._root) != 1:
            return None
        (node,) = self._root.values()
        return None if node.children is None else node.name


def _check_meeting(entry: str, node: _Node, part: str, *, wants_file: bool) -> None:
    if node.name != part:
        raise refused(
            entry,
            f'and another differ only in case or Unicode form at "{shown(part)}"',
            remedy="Rename one of the two: systems that do not tell them apart would mix them up.",
        )
    if wants_file and node.children is None:
        raise refused(entry, "comes twice")
    if wants_file or node.children is None:
        raise refused(entry, "is both a file and a folder")


def _folded(part: str) -> str:
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold())
