"""What a solution file says: `.sln`, `.slnx`, and the filter `.slnf` over either.

A project is known by its normalised path, never by its name: names repeat, and so do the GUIDs of copied projects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from buildyard.dotnet.paths import folder_of, resolve
from buildyard.dotnet.safe_xml import local_name, read_tree
from buildyard.dotnet.sln_text import SlnEntry, SlnText, read_sln_text
from buildyard.errors import InvalidRequest

SOLUTION_SUFFIXES = (".sln", ".slnx", ".slnf")
MAX_SOLUTION_BYTES = 16 * 2**20
MAX_PROJECTS = 20_000


@dataclass(frozen=True)
class BuildRule:
    """Whether a project builds in some configurations of the solution; "" stands for any."""

    configuration: str
    platform: str
    builds: bool

    def concerns(self, configuration: str, platform: str) -> bool:
        """Whether this configuration of the solution is meant; no case, and `AnyCPU` is `Any CPU`."""
        return _fits(self.configuration, configuration) and _fits(self.platform, platform)


@dataclass(frozen=True)
class SolutionProject:
    """One project of a solution. `path` is from the top of the checkout, `folder` a solution folder as `/src/lib/`."""

    path: str
    name: str
    folder: str = "/"
    depends_on: tuple[str, ...] = ()
    rules: tuple[BuildRule, ...] = ()

    def builds_in(self, configuration: str, platform: str = "Any CPU") -> bool:
        """Whether the project is built in this configuration of the solution: the last rule that fits decides."""
        fitting = [rule.builds for rule in self.rules if rule.concerns(configuration, platform)]
        return fitting[-1] if fitting else True


@dataclass(frozen=True)
class Solution:
    """A solution as written. `problems` holds sentences about entries that were left out."""

    path: str
    projects: tuple[SolutionProject, ...]
    configurations: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """The solution folders that hold projects, in order of name."""
        return tuple(sorted({project.folder for project in self.projects} - {"/"}))


@dataclass(frozen=True)
class SolutionFilter:
    """A `.slnf`: the solution it narrows and the projects it keeps, both from the top of the checkout."""

    path: str
    solution: str
    projects: tuple[str, ...]

    def apply(self, solution: Solution) -> Solution:
        """The solution with only the projects of this filter; those it does not hold are named as problems."""
        wanted = frozenset(self.projects)
        kept = tuple(project for project in solution.projects if project.path in wanted)
        absent = sorted(wanted - {project.path for project in kept})
        problems = tuple(f"{self.path} names {path}, which is not in {solution.path}." for path in absent)
        return replace(solution, path=self.path, projects=kept, problems=solution.problems + problems)


def read_solution(path: str, text: str) -> Solution:
    """Read a `.sln` or `.slnx`; `path` is its normalised path from the top of the checkout.

    Raises:
        InvalidRequest: the text is no such solution, or is too large.
    """
    if len(text) > MAX_SOLUTION_BYTES:
        raise InvalidRequest(f"{path} is larger than {MAX_SOLUTION_BYTES // 2**20} MiB.")
    solution = _read_slnx(path, text) if path.lower().endswith(".slnx") else _read_sln(path, text)
    if len(solution.projects) > MAX_PROJECTS:
        raise InvalidRequest(f"{path} names more than {MAX_PROJECTS:,} projects.")
    return solution


def read_filter(path: str, text: str) -> SolutionFilter:
    """Read a `.slnf`. Raises InvalidRequest when it is no solution filter, or leads outside the source."""
    try:
        section = json.loads(text.removeprefix("\ufeff"))["solution"]
        target, names = section["path"], section["projects"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise InvalidRequest(f"{path} is no solution filter: it needs solution.path and solution.projects.") from error
    if not isinstance(target, str) or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest(f"{path} is no solution filter: solution.path and solution.projects must be texts.")
    solution = resolve(folder_of(path), target)
    kept = dict.fromkeys(resolve(folder_of(solution), name) for name in names)
    return SolutionFilter(path=path, solution=solution, projects=tuple(kept))


class _Places:
    """Turns what a solution writes into places in the checkout; keeps the first of each, remembers the rest."""

    def __init__(self, solution: str) -> None:
        self._solution = solution
        self._taken: set[str] = set()
        self.problems: dict[str, None] = {}

    def take(self, written: str) -> str | None:
        """The place of an entry; None where it has none or was taken before."""
        place = self.find(written)
        if place in self._taken:
            self.problems[f"{self._solution} names {place} more than once."] = None
            return None
        if place is not None:
            self._taken.add(place)
        return place

    def find(self, written: str) -> str | None:
        """The place that is meant; None where that is no place in the source."""
        try:
            return resolve(folder_of(self._solution), written)
        except InvalidRequest as error:
            self.problems[f"{self._solution} names a project that cannot be built here: {error}"] = None
            return None


# ---------------------------------------------------------------- .sln
def _read_sln(path: str, text: str) -> Solution:
    sln = read_sln_text(path, text)
    places = _Places(path)
    found: dict[str, SlnEntry] = {}
    for entry in sln.entries:
        place = None if entry.is_folder else places.take(entry.path)
        if place is not None:
            found[place] = entry
    by_guid = {entry.guid: place for place, entry in reversed(found.items())}
    projects = tuple(
        SolutionProject(
            path=place,
            name=entry.name,
            folder=sln.folder(entry.guid),
            depends_on=tuple(by_guid[guid] for guid in entry.depends_on if guid in by_guid),
            rules=_sln_rules(sln, entry.guid),
        )
        for place, entry in found.items()
    )
    return Solution(path, projects, sln.configurations, tuple(places.problems))


def _sln_rules(sln: SlnText, guid: str) -> tuple[BuildRule, ...]:
    """A `.sln` lists where a project builds; what is not listed does not build."""
    if sln.built is None:
        return ()
    built = (name.partition("|") for name in sln.built.get(guid, ()))
    return (BuildRule("", "", builds=False), *(BuildRule(name, platform, builds=True) for name, _, platform in built))


# ---------------------------------------------------------------- .slnx
def _read_slnx(path: str, text: str) -> Solution:
    root = read_tree(text, name=path, max_bytes=MAX_SOLUTION_BYTES)
    if local_name(root.tag) != "Solution":
        raise InvalidRequest(f"{path} is no solution file: its outermost element is {local_name(root.tag)[:60]!r}.")
    places = _Places(path)
    projects = []
    for folder, element in _slnx_projects(root):
        place = places.take(element.get("Path", ""))
        if place is not None:
            projects.append(_slnx_project(place, folder, element, places))
    return Solution(path, tuple(projects), _slnx_configurations(root), tuple(places.problems))


def _slnx_projects(root: Element) -> Iterator[tuple[str, Element]]:
    for element in root:
        kind = local_name(element.tag)
        if kind == "Project":
            yield "/", element
        elif kind == "Folder":
            yield from ((element.get("Name", "/"), child) for child in element if local_name(child.tag) == "Project")


def _slnx_project(place: str, folder: str, element: Element, places: _Places) -> SolutionProject:
    needed: dict[str, None] = {}
    rules = []
    for child in element:
        kind = local_name(child.tag)
        if kind == "BuildDependency" and (target := places.find(child.get("Project", ""))):
            needed[target] = None
        elif kind == "Build":
            configuration, _, platform = child.get("Solution", "").partition("|")
            builds = child.get("Project", "true").strip().lower() != "false"
            rules.append(BuildRule(_any(configuration), _any(platform), builds=builds))
    name = place.rpartition("/")[2].rpartition(".")[0]
    return SolutionProject(place, element.get("DisplayName") or name, folder, tuple(needed), tuple(rules))


def _slnx_configurations(root: Element) -> tuple[str, ...]:
    """Every build type with every platform; a solution that names none has Debug and Release for Any CPU."""
    declared = [child for element in root if local_name(element.tag) == "Configurations" for child in element]
    names = {
        kind: [child.get("Name", "") for child in declared if local_name(child.tag) == kind and child.get("Name")]
        for kind in ("BuildType", "Platform")
    }
    return tuple(
        f"{configuration}|{platform}"
        for configuration in names["BuildType"] or ["Debug", "Release"]
        for platform in names["Platform"] or ["Any CPU"]
    )


def _any(part: str) -> str:
    return "" if part.strip() == "*" else part.strip()


def _fits(rule: str, asked: str) -> bool:
    return not rule or rule.replace(" ", "").lower() == asked.replace(" ", "").lower()
