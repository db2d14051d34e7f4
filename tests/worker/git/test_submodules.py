"""Which submodules a tree asks for, as a function of what git printed."""

from __future__ import annotations

import pytest

from buildyard.errors import Forbidden
from worker.git.submodules import MAX_SUBMODULES, Submodule, resolved, submodules_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def an_entry(path: str, commit: str = COMMIT) -> bytes:
    return f"160000 commit {commit}       -\t{path}".encode()


def modules(**urls: str) -> bytes:
    entries = [f"submodule.{name}.path\nlib/{name}\0submodule.{name}.url\n{url}\0" for name, url in urls.items()]
    return "".join(entries).encode()


def test_a_submodule_is_its_place_its_address_and_its_commit() -> None:
    found = submodules_of([an_entry("lib/a")], modules(a="https://github.com/x/a", b="unused"), "https://h/p")

    assert found == (Submodule("lib/a", "https://github.com/x/a", COMMIT),)


def test_a_name_with_points_and_a_command_to_update_by_changes_nothing() -> None:
    config = b"submodule.a.b.c.path\nlib/a\0submodule.a.b.c.url\n../a\0submodule.a.b.c.update\n!touch /tmp/x\0"

    assert submodules_of([an_entry("lib/a")], config, "https://h/team/p.git")[0].url == "https://h/team/a"


@pytest.mark.parametrize(
    ("parent", "url", "whole"),
    [
        ("https://h/team/p.git", "../lib.git", "https://h/team/lib.git"),
        ("https://h/team/p.git", "./lib.git", "https://h/team/p.git/lib.git"),
        ("https://h/team/p.git", "../../other/lib", "https://h/other/lib"),
        ("ssh://git@h:22/team/p.git", "../lib", "ssh://git@h:22/team/lib"),
        ("/srv/git/p", "../lib", "/srv/git/lib"),
        ("https://h/team/p", "https://other/lib", "https://other/lib"),
        ("https://h/team/p", "ext::sh -c id", "ext::sh -c id"),
    ],
)
def test_a_relative_address_counts_from_its_parent(parent: str, url: str, whole: str) -> None:
    assert resolved(parent, url) == whole


def test_an_address_that_climbs_above_its_host_is_refused() -> None:
    with pytest.raises(Forbidden, match="climbs above"):
        resolved("https://h/p", "../../../evil.example/p")


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc", '"lib/a\\tb"', "lib/\x1b[31m"])
def test_a_place_outside_the_tree_is_refused(path: str) -> None:
    with pytest.raises(Forbidden, match="path of a submodule"):
        submodules_of([an_entry(path)], b"", "https://h/p")


def test_a_submodule_without_an_address_is_named() -> None:
    with pytest.raises(Forbidden, match="`lib/b` has no address"):
        submodules_of([an_entry("lib/b")], modules(a="https://h/a"), "https://h/p")


def test_a_commit_that_is_none_is_refused() -> None:
    with pytest.raises(Forbidden):
        submodules_of([an_entry("lib/a", "--upload-pack=x")], modules(a="https://h/a"), "https://h/p")


def test_too_many_submodules_are_refused() -> None:
    with pytest.raises(Forbidden, match=f"more than {MAX_SUBMODULES}"):
        submodules_of([an_entry(f"lib/{n}") for n in range(MAX_SUBMODULES + 1)], b"", "https://h/p")
