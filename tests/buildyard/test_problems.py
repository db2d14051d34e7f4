"""Errors as answers: each has a status, and a client reads from the answer what the server raised."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from buildyard import errors
from buildyard.client.answers import error_of_answer
from buildyard.errors import BuildyardError, InvalidRequest, ProducerUnavailable, TemporaryError
from buildyard.problems import headers_of, internal_problem, problem_of, problem_of_status, status_of

OURS = (BuildyardError, errors.PermanentError, errors.UnreadableMessage, errors.InvalidSettings)
"""What nobody outside is to blame for."""


def tree(root: type[BuildyardError]) -> Iterator[type[BuildyardError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


@pytest.mark.parametrize("kind", [kind for kind in tree(BuildyardError) if kind not in OURS])
def test_a_client_reads_what_the_server_raised(kind: type[BuildyardError]) -> None:
    raised = kind("It is so.", remedy="Do this.")
    problem, headers = problem_of(raised, "/x"), headers_of(raised)

    read = error_of_answer(
        problem.status,
        problem.encode(),
        retry_after=headers.get("Retry-After", ""),
        at="producer",
        unreachable=ProducerUnavailable,
    )

    assert (str(read), read.remedy, read.code) == (str(raised), raised.remedy, raised.code)
    assert type(read) is kind


@pytest.mark.parametrize("kind", OURS)
def test_what_is_nobodys_but_ours_tells_no_internals(kind: type[BuildyardError]) -> None:
    problem = problem_of(kind("The password is s3cret.", remedy="Read s3cret."), "/x")

    assert (problem.status, problem.code, problem.instance) == (500, "internal_error", "/x")
    assert b"s3cret" not in problem.encode()


def test_an_incident_is_named_where_the_log_has_it() -> None:
    assert "under 0197" in internal_problem("/x", "0197").detail


def test_a_code_that_says_more_than_its_class_decides() -> None:
    error = InvalidRequest("It is no JSON.")
    error.code = "unreadable_body"

    assert (status_of(error), problem_of(error, "/x").code) == (400, "unreadable_body")


def test_a_field_that_is_to_blame_is_named() -> None:
    assert problem_of(InvalidRequest("It is wrong.", field="job.rows"), "/x").errors == (
        {"field": "job.rows", "message": "It is wrong."},
    )


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (1.0, "1"), (1.2, "2"), (30.0, "30")])
def test_a_wait_is_whole_seconds_and_never_none(seconds: float, header: str) -> None:
    headers = headers_of(TemporaryError("Later.", retry_after=seconds))

    assert headers == {"Cache-Control": "no-store", "Retry-After": header}


@pytest.mark.parametrize(
    ("status", "title", "code", "detail"),
    [
        (404, "Not Found", "not_found", "There is nothing at this address."),
        (405, "Method Not Allowed", "method_not_allowed", "This address does not take this method."),
        (411, "Length Required", "length_required", "Said by the framework."),
        (599, "Error", "error", "Said by the framework."),
    ],
)
def test_a_status_that_a_framework_chose_is_a_problem_too(status: int, title: str, code: str, detail: str) -> None:
    problem = problem_of_status(status, "Said by the framework.", "/x")

    assert (problem.title, problem.code, problem.detail) == (title, code, detail)
