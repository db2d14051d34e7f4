from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.dotnet.graph import SolutionGraph, build_graph
from buildyard.dotnet.project import ProjectFacts, Reference
from buildyard.dotnet.solution import Solution, SolutionProject
from buildyard.errors import InvalidRequest


def facts(path: str, *needs: str, unknown: tuple[str, ...] = ()) -> ProjectFacts:
    references = tuple(Reference(need, need, conditional=False) for need in needs)
    return ProjectFacts(path, references=references, unknown=unknown)


def solution(*paths: str) -> Solution:
    return Solution("a.sln", tuple(SolutionProject(path, path) for path in paths))


def graph(**needs: str) -> SolutionGraph:
    return SolutionGraph({name: frozenset(needed) for name, needed in needs.items()})


def test_every_project_comes_after_what_it_needs() -> None:
    assert graph(app="lc", c="l", l="", tests="c").needs["tests"] == frozenset("c")
    assert graph(a="cd", c="d", d="", t="c").order == ("d", "c", "a", "t")
    assert graph(a="cd", c="d", d="", t="c").waves == (("d",), ("c",), ("a", "t"))


def test_the_tops_are_the_projects_that_nobody_needs() -> None:
    assert graph(a="c", b="c", c="d", d="").tops == ("a", "b")


def test_a_closure_holds_all_that_is_needed() -> None:
    assert graph(a="c", b="", c="d", d="").closure(["a", "unknown"]) == frozenset("acd")


def test_a_circle_is_shown() -> None:
    with pytest.raises(InvalidRequest, match=r"cannot be put in order: (a needs b needs a|b needs a needs b)\."):
        graph(a="b", b="a", c="").order  # noqa: B018 - reading it is the test
    with pytest.raises(InvalidRequest, match="a needs a"):
        graph(a="a").order  # noqa: B018 - reading it is the test


def test_projects_outside_the_solution_take_part_where_they_are_needed() -> None:
    known = {"app": facts("app", "lib"), "lib": facts("lib", "base"), "base": facts("base"), "alone": facts("alone")}

    found = build_graph(solution("app"), known)

    assert found.order == ("base", "lib", "app")


def test_missing_and_unreadable_projects_are_told() -> None:
    known = {"app": facts("app", "gone"), "lib": facts("lib", unknown=("it imports other files",))}

    found = build_graph(solution("app", "lib", "broken"), known)

    assert found.missing == (("app", "gone"),)
    assert found.uncertain == {"lib", "broken"}
    assert set(found.order) == {"app", "lib", "broken"}


def test_build_dependencies_of_the_solution_are_edges() -> None:
    entries = (SolutionProject("app", "app", depends_on=("tool", "nowhere")), SolutionProject("tool", "tool"))

    found = build_graph(Solution("a.sln", entries), {"app": facts("app"), "tool": facts("tool")})

    assert found.order == ("tool", "app")
    assert found.missing == (("app", "nowhere"),)


def test_a_long_chain_needs_no_deep_stack() -> None:
    long = SolutionGraph({f"p{n:05}": frozenset({f"p{n - 1:05}"} if n else set()) for n in range(5000)})

    assert long.order[-1] == "p04999"
    assert len(long.closure(["p04999"])) == 5000


@given(st.dictionaries(st.integers(0, 12), st.frozensets(st.integers(0, 12), max_size=4), max_size=12))
def test_the_order_holds_every_project_once_or_names_a_circle(edges: dict[int, frozenset[int]]) -> None:
    needs = {str(node): frozenset(map(str, needed & edges.keys())) for node, needed in edges.items()}
    found = SolutionGraph(needs)
    try:
        order = found.order
    except InvalidRequest as error:
        shown = str(error).removeprefix("The projects cannot be put in order: ").removesuffix(".").split(" needs ")
        assert shown[0] == shown[-1]
        assert all(after in needs[before] for before, after in pairwise(shown))
        return
    assert sorted(order) == sorted(needs)
    position = {name: at for at, name in enumerate(order)}
    assert all(position[need] < position[name] for name, needed in needs.items() for need in needed)
    assert found.closure(found.tops) == needs.keys()
