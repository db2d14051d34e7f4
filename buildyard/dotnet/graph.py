"""The projects of a solution and who needs whom: the order in which they can be built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from buildyard.dotnet.project import ProjectFacts
from buildyard.dotnet.solution import Solution
from buildyard.errors import InvalidRequest


@dataclass(frozen=True)
class SolutionGraph:
    """Projects by their path, and for each the projects it needs.

    References under a condition count: for order, too many edges are safe and too few are not. `missing` holds
    pairs (project, the path it refers to) where nothing lies at that path. `uncertain` names projects whose own text
    does not tell all of their references.
    """

    needs: Mapping[str, frozenset[str]]
    missing: tuple[tuple[str, str], ...] = ()
    uncertain: frozenset[str] = field(default=frozenset())

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Every project after all that it needs; projects that could swap places are in order of path.

        Raises:
            InvalidRequest: projects need each other in a circle; the sentence shows the circle.
        """
        return tuple(project for wave in self.waves for project in wave)

    @cached_property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The projects in steps: those of one step need only earlier steps. Raises InvalidRequest as `order` does."""
        sorter = TopologicalSorter({project: sorted(needed) for project, needed in sorted(self.needs.items())})
        try:
            sorter.prepare()
        except CycleError as error:
            circle = " needs ".join(reversed(error.args[1]))
            raise InvalidRequest(
                f"The projects cannot be put in order: {circle}.", remedy="Remove one of these project references."
            ) from None
        waves = []
        while sorter.is_active():
            wave = tuple(sorted(sorter.get_ready()))
            waves.append(wave)
            sorter.done(*wave)
        return tuple(waves)

    @cached_property
    def tops(self) -> tuple[str, ...]:
        """The projects that no other one needs, in order of path: building these builds everything."""
        needed = frozenset().union(*self.needs.values())
        return tuple(sorted(self.needs.keys() - needed))

    def closure(self, projects: Iterable[str]) -> frozenset[str]:
        """These projects with all that they need, directly or not; unknown ones are left out."""
        found: set[str] = set()
        waiting = [project for project in projects if project in self.needs]
        while waiting:
            project = waiting.pop()
            if project not in found:
                found.add(project)
                waiting += self.needs[project]
        return frozenset(found)


def build_graph(solution: Solution, facts: Mapping[str, ProjectFacts]) -> SolutionGraph:
    """The graph of a solution's projects and of what they reach.

    `facts` holds every project that could be read, by path; projects outside the solution take part where one
    inside it needs them. A project of the solution without facts is a node without references, and uncertain.
    """
    entries = {entry.path: frozenset(entry.depends_on) for entry in solution.projects}
    needs: dict[str, frozenset[str]] = {}
    missing: dict[tuple[str, str], None] = {}
    waiting = sorted(entries, reverse=True)
    while waiting:
        project = waiting.pop()
        if project in needs:
            continue
        named = _references(facts.get(project)) | entries.get(project, frozenset())
        known = frozenset(path for path in named if path in facts or path in entries)
        missing.update(dict.fromkeys((project, path) for path in sorted(named - known)))
        needs[project] = known
        waiting += sorted(known - needs.keys(), reverse=True)
    uncertain = frozenset(path for path in needs if path not in facts or facts[path].unknown)
    return SolutionGraph(needs=needs, missing=tuple(missing), uncertain=uncertain)


def _references(facts: ProjectFacts | None) -> frozenset[str]:
    return frozenset(reference.path for reference in facts.references if reference.path) if facts else frozenset()
