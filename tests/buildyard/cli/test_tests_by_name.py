"""`buildyard tests`: a build's tests by name, its suites, and the slowest of both."""

from __future__ import annotations

from typing import Any

from tests.buildyard.cli import answers
from tests.buildyard.cli.fake_server import FakeServer, Reply, Route, problem
from tests.buildyard.cli.run import Shell

ID = answers.BUILD_ID
PATH = f"/api/v1/builds/{ID}/tests"


def case(name: str, status: str = "passed", seconds: float = 0.0, place: str = "") -> dict[str, Any]:
    return {"name": name, "status": status, "suite": "shop", "place": place, "durationSeconds": seconds}


def page(*cases: dict[str, Any], after: str | None = None, left_out: int = 0) -> dict[str, Any]:
    return {
        "total": 4,
        "passed": 3,
        "failed": 1,
        "skipped": 0,
        "durationSeconds": 2.0,
        "suites": [{"name": "shop", "passed": 2, "failed": 1, "skipped": 0, "durationSeconds": 1.75}],
        "cases": list(cases),
        "casesLeftOut": left_out,
        "nextCursor": after,
    }


def one_by_one(*bodies: dict[str, Any]) -> Route:
    waiting = list(bodies)
    return lambda _seen: Reply(body=waiting.pop(0))


def test_tests_are_listed_with_what_they_took_and_what_is_left_out_is_said(shell: Shell, server: FakeServer) -> None:
    server.on("GET", PATH, page(case("sums", "failed", 1.25, "a.py:3"), case("adds", seconds=0.004), left_out=2))

    ran = shell("tests", ID)

    assert [line.split() for line in ran.out.splitlines()] == [
        ["STATUS", "TOOK", "SUITE", "NAME", "PLACE"],
        ["x", "failed", "1.2s", "shop", "sums", "a.py:3"],
        ["v", "passed", "4ms", "shop", "adds"],
    ]
    assert ran.err == "2 of 4 tests are counted and not listed by name.\n"


def test_the_slowest_are_found_over_all_pages(shell: Shell, server: FakeServer) -> None:
    server.on("GET", PATH, one_by_one(page(case("a", seconds=0.1), after="7"), page(case("b", seconds=0.3), case("c"))))

    ran = shell("tests", ID, "--slowest", "--limit", "2", "--status", "passed", "--columns", "name")

    assert ran.out.split() == ["NAME", "b", "a"]
    assert [(seen.query["after"], seen.query["limit"], seen.query["status"]) for seen in server.seen] == [
        ("0", "1000", "passed"),
        ("7", "1000", "passed"),
    ]


def test_suites_are_listed_with_their_counts(shell: Shell, server: FakeServer) -> None:
    server.on("GET", PATH, page(case("a")))

    ran = shell("tests", ID, "--suites")

    assert ran.out.splitlines()[1].split() == ["shop", "2", "1", "0", "1.8s"]
    assert ran.err == "1 of 4 tests are of suites that are not listed.\n"


def test_programs_get_one_page_of_as_many_as_they_asked_for(shell: Shell, server: FakeServer) -> None:
    server.on("GET", PATH, one_by_one(page(case("a"), after="1"), page(case("b"), after="2")))

    found = shell("tests", ID, "--json", "--limit", "2").json()

    assert ([one["name"] for one in found["cases"]], found["nextCursor"]) == (["a", "b"], "2")


def test_a_build_without_tests_says_so(shell: Shell, server: FakeServer) -> None:
    server.on("GET", PATH, problem(404, "not_found", "This build has told of no tests."))

    ran = shell("tests", ID)

    assert ran.code != 0
    assert "told of no tests" in ran.err
