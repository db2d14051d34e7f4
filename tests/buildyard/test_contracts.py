"""The small rules of the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildyard.contracts.api import BuildRequest, project_name_of
from buildyard.contracts.builds import BuildProperties, BuildState, Priority, Strategy
from buildyard.contracts.wire import iso8601_duration, rfc3339


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "PT0S"), (1.5, "PT1.5S"), (60, "PT1M"), (3725.25, "PT1H2M5.25S"), (86_400, "PT24H"), (-3, "PT0S")],
)
def test_durations_are_iso_8601(seconds: float, text: str) -> None:
    assert iso8601_duration(seconds) == text


def test_times_are_rfc_3339_in_utc() -> None:
    moment = datetime(2026, 11, 21, 10, 0, 0, 250_999, tzinfo=timezone(timedelta(hours=2)))

    assert rfc3339(moment) == "2026-11-21T08:00:00.250Z"
    assert rfc3339(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize("state", list(BuildState))
def test_words_are_read_in_the_style_they_are_written_in(state: BuildState) -> None:
    assert BuildState(state.wire) is state
    assert BuildState(state.wire.lower()) is state


def test_the_short_and_the_full_shape_are_one_request() -> None:
    short = BuildRequest.model_validate(
        {"project_name": "p", "git_url": "https://github.com/a/b.git", "branch": "main", "priority": "high"}
    )
    full = BuildRequest.model_validate(
        {
            "job": {"projectName": "p", "repositoryUrl": "https://github.com/a/b.git", "gitRef": "main"},
            "targetPool": "Linux",
            "priority": "High",
        }
    )

    assert short == full
    assert (full.pool, full.priority, full.strategy) == ("linux", Priority.HIGH, Strategy.INCREMENTAL)


@pytest.mark.parametrize(
    "job",
    [
        {"projectNam": "x"},
        {"timeoutMinutes": 0},
        {"timeoutMinutes": float("nan")},
        {"timeoutMinutes": -1},
        {"configuration": "Release;x"},
        {"buildProperties": {"A;B": "1"}},
        {"buildProperties": {"A": "$(X)"}},
        {"buildProperties": {"A": "x;y"}},
        {"buildProperties": {"A": 'q"'}},
        {"buildProperties": {"A": "%3B"}},
        {"buildProperties": {"A": "l\nm"}},
        {"projectName": "-x"},
        {"projectName": "a/b"},
        {"rowsPerJob": 0},
    ],
)
def test_a_wrong_property_is_refused(job: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BuildProperties.model_validate(job)


@given(st.text(max_size=200))
def test_a_project_name_made_from_a_file_name_is_always_valid(filename: str) -> None:
    BuildProperties(project_name=project_name_of(filename))
