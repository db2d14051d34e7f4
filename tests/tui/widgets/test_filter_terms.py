"""What a filter means."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.widgets.filter_terms import Filter, Term, parse, spans

FIELDS = {"": "web/feat-[x] failed at https://host:80 Linux", "branch": "web/feat-[x]", "state": "Failed"}


@pytest.mark.parametrize(
    ("typed", "holds"),
    [
        ("", True),
        ("failed", True),
        ("FAILED", False),  # a capital asks for the letters as they are
        ("Linux", True),
        ("linux", True),
        ("!failed", False),
        ("!passed", True),
        ("state:failed", True),
        ("state:Failed", True),
        ("state:queued|failed", True),
        ("!state:queued|failed", False),
        ("branch:core failed", False),
        ("branch:web failed", True),
        ("https://host:80", True),  # `https` is no field here
        ("at:", False),
        ('"failed at"', True),
        ('"at failed"', False),
        ("[x]", True),
        ("state:", True),  # half typed
        ("!", True),
        ("|", True),
        ('"', True),
        ("a|linux", True),
    ],
)
def test_a_filter_means_what_is_typed(typed: str, holds: bool) -> None:
    assert parse(typed, ["branch", "state"]).matches(FIELDS.__getitem__) is holds


@settings(deadline=None)
@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_filter_and_its_chips_can_be_typed_again(typed: str) -> None:
    wanted = parse(typed, ["a", "key"])
    again = parse(str(wanted), ["a", "key"])
    if '"' not in typed and not any(character.isspace() and character != " " for character in typed):
        assert again == wanted
    assert isinstance(again, Filter)


@settings(deadline=None)
@given(st.lists(st.text("abAB |", max_size=6), max_size=20), st.text("abAB|", min_size=1, max_size=4), st.booleans())
def test_a_pass_over_many_texts_finds_what_each_alone_would_show(texts: list[str], word: str, inverted: bool) -> None:
    needles = tuple(part for part in word.split("|") if part)
    if not needles:
        return
    term = Term(needles, inverted=inverted)
    fold = str.lower if word == word.lower() else str
    expected = [text for text in texts if any(needle in fold(text) for needle in needles) is not inverted]
    assert term.among(texts, str) == expected
    assert [text for text in texts if term.holds(text)] == expected


@settings(deadline=None)
@given(st.text("abAB", max_size=30), st.lists(st.text("abAB", min_size=1, max_size=3), max_size=3))
def test_found_words_are_where_they_are_said_to_be(text: str, words: list[str]) -> None:
    terms = [Term((word,)) for word in words]
    found = spans(text, terms)
    assert found == sorted(found)
    assert all(first[1] < second[0] for first, second in itertools.pairwise(found))
    for term in terms:
        if term.holds(text):
            place = (text.lower() if term.folds else text).find(term.needles[0])
            assert any(start <= place and place + len(term.needles[0]) <= end for start, end in found)
    covered = sum(end - start for start, end in found)
    assert covered <= len(text)
    assert covered == 0 or any(term.holds(text) for term in terms)


def test_a_letter_that_grows_when_small_marks_nothing_wrongly() -> None:
    assert spans("İİİ needle", [Term(("needle",))]) == []
