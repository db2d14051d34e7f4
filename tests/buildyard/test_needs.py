"""What a build needs is compared with what an agent has, and what is lacking is said in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.needs import MAX_TEXT, Needs, fits, size_bytes, wanted
from buildyard.contracts.suiting import unmet

AGENT = Capabilities(
    os="linux", arch="x86_64", cores=4, memory_bytes=8 * 2**30, disk_bytes=2**40, tools={"dotnet": "3.1.102", "git": ""}
)
VERSIONS = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
SIGNS = st.sampled_from(["", "==", ">=", "<=", ">", "<"])
NEEDS = st.builds(
    Needs,
    tools=st.dictionaries(
        st.sampled_from(["dotnet", "git", "go", "node"]),
        st.lists(st.tuples(SIGNS, VERSIONS).map("".join), max_size=2).map(",".join),
        max_size=3,
    ),
    os=st.sampled_from([None, "linux", "windows"]),
    cores=st.sampled_from([None, 1.0, 4.0, 8.0]),
    memory=st.sampled_from([None, "4 GiB", "16GB"]),
)


@pytest.mark.parametrize(
    ("versions", "found", "fit"),
    [
        ("", "1.2", True), ("", "", True), ("8", "8.0.100", True), ("8", "80.0", False), ("3.1", "3.1.102", True),
        ("3.1", "3.10.0", False), (">=8", "8.0.0", True), (">=8", "7.9.9", False), (">=8.0.1", "8", False),
        (">=3.11,<4", "3.12.1", True), (">=3.11,<4", "4.0", False), ("<20", "19.9", True), ("<20", "20.0.1", False),
        ("<=20", "20.11.1", True), (">20", "20.11.1", False), (">20", "21", True), ("==17", "17.0.15", True),
        (">=8", "", False), (">=8", "nightly", False), (">=10", "10.0.0-rc.1", True), ("1.2.3", "1.2", False),
    ],
)  # fmt: skip
def test_a_version_lies_within_bounds_or_not(versions: str, found: str, *, fit: bool) -> None:
    assert fits(versions, found) is fit


@given(VERSIONS, VERSIONS)
def test_one_version_is_at_least_below_or_above_another(one: str, other: str) -> None:
    assert fits(f">={other}", one) is not fits(f"<{other}", one) or fits(other, one)
    assert not (fits(f">{other}", one) and fits(f"<={other}", one))
    assert fits(f">={one}", one)
    assert fits(f"<={one}", one)
    assert fits(one, one)


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        (Needs(), ()),
        (Needs(tools={"dotnet": "3"}), ()),
        (Needs(tools={"dotnet": ">=8"}), ("dotnet >=8 (it has 3.1.102)",)),
        (Needs(tools={"go": ""}), ("go (it has none)",)),
        (Needs(tools={"git": ">=2"}), ("git >=2 (it has an unknown version)",)),
        (Needs(os="windows"), ("the system windows (it has linux)",)),
        (Needs(arch="aarch64"), ("the processor aarch64 (it has x86_64)",)),
        (Needs(cores=8), ("8 cores (it has 4)",)),
        (Needs(memory="16 GiB"), ("16 GiB of memory (it has 8.0 GiB)",)),
        (Needs(memory="8 GiB", disk="1 TiB", cores=4, os="linux"), ()),
    ],
)
def test_what_an_agent_lacks_is_said_in_words(needs: Needs, lacks: tuple[str, ...]) -> None:
    assert unmet(needs, AGENT) == lacks


@pytest.mark.parametrize(
    "wrong",
    [
        {"tools": {"dotnet": "latest"}},
        {"tools": {"dotnet": ">=8; rm -rf /"}},
        {"tools": {"Dot Net": ""}},
        {"tools": {"dotnet": "8" * 101}},
        {"tools": {f"t{number}": "" for number in range(21)}},
        {"tools": {f"tool-{number}": ">=1.2.3.4.5.6,<2.3.4.5.6.7" for number in range(20)}},
        {"memory": "lots"},
        {"memory": 4},
        {"cores": 0},
        {"cores": "4"},
        {"cores": float("inf")},
        {"os": "Linux!"},
        {"gpu": 1},
    ],
)
def test_needs_that_say_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Needs.model_validate(wrong)


@given(NEEDS)
def test_needs_are_the_same_text_and_back(needs: Needs) -> None:
    text = needs.text()

    assert len(text) <= MAX_TEXT
    assert (Needs.model_validate_json(text) if text else Needs()) == needs
    assert bool(text) == bool(needs != Needs())
    assert (
        Needs(tools=dict(reversed(needs.tools.items())), os=needs.os).text()
        == Needs(tools=needs.tools, os=needs.os).text()
    )


@given(NEEDS, NEEDS)
def test_both_needs_together_are_met_only_where_each_is(one: Needs, other: Needs) -> None:
    both = one.and_also(other)

    assert both.and_also(other) == both
    if not unmet(both, AGENT):
        assert not unmet(other, AGENT)
        assert not unmet(Needs(tools=one.tools), AGENT)


def test_sizes_and_words() -> None:
    assert size_bytes("4 GiB") == size_bytes("4GB") == 4 * 2**30
    assert size_bytes("512MiB") == 2**29
    needs = Needs(tools={"dotnet": ">=8", "git": ""}, cores=4, memory="8 GiB")
    assert wanted(needs) == "dotnet >=8, git, 4 cores and 8 GiB of memory"
