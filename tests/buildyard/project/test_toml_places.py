"""Each key and value of a TOML text is found where it stands, in whatever way the text is written."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from buildyard.project.toml_places import Place, find_places
from tests.buildyard.project.toml_writing import Written, documents


@given(documents())
def test_every_key_and_value_is_found_where_it_was_written(written: Written) -> None:
    tomllib.loads(written.text)

    found = find_places(written.text)

    assert found.keys == written.keys
    assert found.values == written.values


@given(documents())
def test_line_ends_of_windows_change_no_place(written: Written) -> None:
    assert find_places(written.text.replace("\n", "\r\n")) == find_places(written.text)


@given(st.text(alphabet="ab[]{}=,.\"'#\n \\1", max_size=60))
def test_any_text_is_gone_through(text: str) -> None:
    found = find_places(text)

    lines = text.split("\n")
    for place in (*found.keys.values(), *found.values.values()):
        assert 1 <= place.line <= len(lines)
        assert 1 <= place.column <= len(lines[place.line - 1]) + 1


def test_the_tables_of_a_list_are_counted() -> None:
    found = find_places("[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n[[a.c]]\nz = 4\n")

    assert found.of_value(("a", 1, "x")) == Place(4, 5)
    assert found.of_value(("a", 1, "b", "y")) == Place(6, 5)
    assert found.of_key(("a", 1, "c", 0, "z")) == Place(8, 1)


def test_what_is_missing_is_looked_for_around() -> None:
    found = find_places("\n[batch]\nrows = 'a'\n")

    assert found.of_key(("batch", "run")) == Place(2, 2)
    assert found.of_value(("nothing",)) == Place(1, 1)


def test_a_long_text_takes_no_time_to_speak_of() -> None:
    found = find_places("a = [" + "[1, 'x'], " * 25_000 + "]\n" + "# c\n" * 1000)

    assert len(found.values) == 75_001
