"""The lines of a `.sln`, as they stand there: entries by GUID, before anything is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from buildyard.errors import InvalidRequest

_FOLDER_TYPE = "{2150E333-8FDC-42A3-9474-1A3956D46DE8}"
_HEADER = "Microsoft Visual Studio Solution File"
_ENTRY = re.compile(r'Project\("([^"]*)"\)\s*=\s*"([^"]*)"\s*,\s*"([^"]*)"\s*,\s*"([^"]*)"')
_SECTION = re.compile(r"(?:Project|Global)Section\(([^()]*)\)")


@dataclass(frozen=True)
class SlnEntry:
    """A project or a folder; GUIDs are in capitals, `path` is as written."""

    type_id: str
    name: str
    path: str
    guid: str
    depends_on: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of the solution and no project."""
        return self.type_id == _FOLDER_TYPE


@dataclass(frozen=True)
class SlnText:
    """All that a `.sln` tells. `built` holds, per GUID, the configurations it builds in; None: no such table."""

    entries: tuple[SlnEntry, ...]
    configurations: tuple[str, ...]
    built: Mapping[str, tuple[str, ...]] | None
    parents: Mapping[str, str]

    def folder(self, guid: str) -> str:
        """The solution folder an entry lies in, as `/src/lib/`; `/` for the top."""
        names = {entry.guid: entry.name for entry in self.entries if entry.is_folder}
        parts: list[str] = []
        seen: set[str] = set()
        parent = self.parents.get(guid, "")
        while parent in names and parent not in seen:
            seen.add(parent)
            parts.append(names[parent])
            parent = self.parents.get(parent, "")
        return "/" + "".join(f"{part}/" for part in reversed(parts))


def read_sln_text(path: str, text: str) -> SlnText:
    """Read the lines; what is not understood is passed over, as MSBuild does.

    Raises:
        InvalidRequest: the header of a solution file is missing.
    """
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    if not any(line.startswith(_HEADER) for line in lines[:10]):
        raise InvalidRequest(f"{path} is no solution file: its first lines do not say {_HEADER!r}.")
    reader = _Lines()
    reader.read(lines)
    return reader.result()


class _Lines:
    """Knows in which entry and which section the present line stands."""

    def __init__(self) -> None:
        self._entries: list[SlnEntry] = []
        self._needed: list[str] = []
        self._current: SlnEntry | None = None
        self._section = ""
        self._configurations: dict[str, None] = {}
        self._built: dict[str, dict[str, None]] | None = None
        self._parents: dict[str, str] = {}

    def result(self) -> SlnText:
        self._finish_entry()
        built = self._built
        return SlnText(
            entries=tuple(self._entries),
            configurations=tuple(self._configurations),
            built=None if built is None else {guid: tuple(names) for guid, names in built.items()},
            parents=self._parents,
        )

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            if entry := _ENTRY.match(line):
                self._finish_entry()
                type_id, name, place, guid = (part.strip() for part in entry.groups())
                self._current = SlnEntry(type_id.upper(), name, place, guid.upper())
            elif section := _SECTION.match(line):
                self._section = section.group(1).strip()
            elif line in {"EndProjectSection", "EndGlobalSection"}:
                self._section = ""
            elif line in {"EndProject", "Global"}:
                self._finish_entry()
            elif "=" in line:
                key, _, value = line.partition("=")
                self._row(key.strip(), value.strip())

    def _finish_entry(self) -> None:
        entry = self._current
        if entry is not None:
            self._entries.append(
                SlnEntry(entry.type_id, entry.name, entry.path, entry.guid, tuple(dict.fromkeys(self._needed)))
            )
        self._current, self._needed, self._section = None, [], ""

    def _row(self, key: str, value: str) -> None:
        if self._section == "ProjectDependencies" and self._current is not None:
            self._needed.append(key.upper())
        elif self._section == "SolutionConfigurationPlatforms":
            self._configurations[key] = None
        elif self._section == "ProjectConfigurationPlatforms":
            self._built = {} if self._built is None else self._built
            guid, _, rest = key.partition(".")
            if rest.endswith(".Build.0"):
                self._built.setdefault(guid.upper(), {})[rest.removesuffix(".Build.0")] = None
        elif self._section == "NestedProjects":
            self._parents[key.upper()] = value.upper()
