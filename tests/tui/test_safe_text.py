"""What comes out of `safe_text` can be drawn, whatever went in."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui import safe_text
from tui.safe_text import MOST_MARKS, NOTHING, PLAIN, Cleaned, Removed, Run, Style, clean, plain

HOSTILE = [
    "\x1b]52;c;cm0gLXJmIH4=\x07",
    "\x1b]52;c;cm0gLXJmIH4=\x1b\\",
    "\x9d52;c;cm0gLXJmIH4=\x9c",
    "\x1b]0;a title\x07",
    "\x1b]8;;http://evil.example/\x1b\\a link\x1b]8;;\x1b\\",
    "\x1b]8;;http://evil.example/ without an end",
    "\x1b[2J\x1b[H\x1b[?1049h\x1b[6n\x1b[>4;1m\x1b[38;5m",
    "\x9b2J\x9b31m",
    "\x1bP+q544e\x1b\\\x1b_G payload\x1b\\\x1b^x\x1b\\\x1bXy\x1b\\",
    "\x1bc\x1b(0\x1b#8\x1b7\x1b",
    "\x1b[31",
    "\x1b[31;\x07;1m",
    "\x1b\x1b]\x1b[",
    "user\u202egnp.exe\u2066\u2069\u200f\u061c",
    "a\u200bb\u200cc\u200dd\ufeffe\u00adf\u2060g\U000e0041\ufe0f",
    "Z" + "\u0301" * 500 + "algo",
    "\u0301leading",
    "世界 編譯 🇩🇪 👩‍👩‍👧 👍🏽 ﷽",
    "ᄒ" + "ᅡ" * 40,
    "\ud800\udfff lone surrogates",
    "fix/[red]branch[/red] [/x] [link=http://x]y[/link]",
    "10%\r20%\r100%\r\n",
    "a\tb\t\tc",
    "one\ntwo\x0bthree\x0cfour\x85five\u2028six\u2029seven",
    "\x00\x07\x08\x7f\x80\x9f",
    "\u3000\u00a0\u2007wide and hard spaces",
    "\u115f\u3164\u2800",
]
ANY_TEXT = st.text(alphabet=st.characters(), max_size=60)
HOSTILE_TEXT = st.lists(
    st.one_of(
        st.sampled_from([*HOSTILE, "\x1b[", "\x1b]", "\x9b", ";", ":", "m", "38;2;", "\t", "\r", "\x1b[0m", "a\u0301"]),
        ANY_TEXT,
    ),
    max_size=12,
).map("".join)


def check(cleaned: Cleaned, limit: int) -> None:
    text = cleaned.text
    assert len(text) <= limit
    assert cleaned.cells == cell_len(text) == sum(cell_len(run.text) for run in cleaned.runs)
    text.encode("utf-8")
    for character in text:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert unicodedata.category(character) != "Zs" or character == " "
    marks = MOST_MARKS
    for character in text:
        marks = marks + 1 if cell_len(character) == 0 else 0
        assert marks <= MOST_MARKS, "marks pile up, or stand on nothing"
    assert all(run.text for run in cleaned.runs)
    assert all(one.style != other.style for one, other in zip(cleaned.runs, cleaned.runs[1:], strict=False))


@pytest.mark.parametrize("line", HOSTILE)
def test_the_hostile_corpus_is_harmless(line: str) -> None:
    check(clean(line), 8192)
    check(clean(f"before {line} after"), 8192)


@given(HOSTILE_TEXT, st.integers(1, 120), st.integers(1, 9))
@example("\x1b[31m" + "\t" * 9, 4, 8)
def test_whatever_comes_in_what_comes_out_can_be_drawn(line: str, limit: int, tab: int) -> None:
    check(clean(line, limit=limit, tab=tab), limit)


@given(HOSTILE_TEXT, st.integers(1, 120))
def test_cleaning_what_is_clean_changes_nothing(line: str, limit: int) -> None:
    once = clean(line, limit=limit).text
    again = clean(once, limit=limit)
    assert again.text == once
    assert again.removed == NOTHING


@given(HOSTILE_TEXT, st.integers(1, 120))
def test_a_name_is_one_line_without_anything_but_letters_and_marks(name: str, limit: int) -> None:
    shown = plain(name, limit=limit)
    assert len(shown) <= limit
    assert not set(shown) & set(map(chr, (*range(0x20), *range(0x7F, 0xA0))))


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_ordinary_text_stays_as_it_is(line: str) -> None:
    assert clean(line).text == plain(line, limit=1000) == line
    assert clean(line).removed == NOTHING


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"]), max_size=40))
def test_no_letter_is_lost_uncounted(line: str) -> None:
    cleaned = clean(line, limit=20)
    removed = cleaned.removed
    assert len(line) == len(cleaned.text) + removed.cut + removed.invisible + removed.marks


def test_only_colours_of_all_sequences_survive() -> None:
    cleaned = clean("\x1b[1;31merror\x1b[0m in \x1b]0;t\x07\x1b[38;5;200mfile\x1b[m")
    assert cleaned.runs == (
        Run("error", Style(fg="red", bold=True)),
        Run(" in ", PLAIN),
        Run("file", Style(fg="color(200)")),
    )
    assert cleaned.removed == Removed(sequences=1)


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("", PLAIN),
        ("1;2;3;4;7;9", Style(bold=True, dim=True, italic=True, underline=True, reverse=True, strike=True)),
        ("1;2;3;4;7;9;22;23;24;27;29", PLAIN),
        ("32;43", Style(fg="green", bg="yellow")),
        ("97;100", Style(fg="bright_white", bg="bright_black")),
        ("31;39;41;49", PLAIN),
        ("38;2;1;2;255", Style(fg="#0102ff")),
        ("48;2;1;2;256", PLAIN),
        ("38;5;300", PLAIN),
        ("38;5", PLAIN),
        ("38", PLAIN),
        ("38;7;1", Style(bold=True)),
        ("38:5:9", Style(fg="color(9)")),
        ("38:2:1:2:3", Style(fg="#010203")),
        ("48:2::1:2:3", Style(bg="#010203")),
        ("4:3", Style(underline=True)),
        ("4;4:0", PLAIN),
        ("38:", PLAIN),
        ("5;8;99;1;;", PLAIN),
        ("9" * 64, PLAIN),
    ],
)
def test_colours_are_read_as_terminals_read_them(codes: str, style: Style) -> None:
    assert clean(f"\x1b[{codes}mx").runs == (Run("x", style),)
    assert clean(f"\x1b[{codes}mx世").runs == (Run("x世", style),), "the slow way gives the same"


def test_blinking_and_hidden_text_are_shown_as_any_other() -> None:
    assert clean("\x1b[5;8mseen").runs == (Run("seen", PLAIN),)


def test_a_sequence_that_never_ends_hides_nothing_behind_it() -> None:
    assert clean("\x1b]0;the build failed").text == "0;the build failed"
    assert clean("\x1bPthe build failed").text == "the build failed"


def test_tabs_go_to_the_next_stop_counted_in_cells() -> None:
    assert clean("a\tb").text == "a       b"
    assert clean("世\tb").text == "世      b"
    assert clean("a\tb", tab=4).text == "a   b"
    assert clean("12345678\tb").text == "12345678        b"


def test_of_what_was_overwritten_the_last_state_is_shown() -> None:
    assert clean("10%\r50%\r100%") == Cleaned((Run("100%", PLAIN),), 4, Removed(overwritten=8))
    assert clean("line\r\n").text == "line"
    assert clean("line\r\n").removed == NOTHING


def test_line_breaks_inside_become_spaces_and_are_counted() -> None:
    assert clean("one\ntwo\x0bthree") == Cleaned((Run("one two three", PLAIN),), 13, Removed(controls=2))


def test_what_is_cut_is_counted_and_a_name_tells_of_it() -> None:
    assert clean("abcdef", limit=4) == Cleaned((Run("abcd", PLAIN),), 4, Removed(cut=2))
    assert clean("\x1b[31mabcdef\x1b[0m", limit=4).removed == Removed(cut=2)
    assert plain("abcdef", limit=4) == "abc…"


def test_markup_stays_the_letters_it_is_made_of() -> None:
    assert plain("fix/[red]x[/red] [/y]") == "fix/[red]x[/red] [/y]"


def test_counts_of_many_lines_add_up() -> None:
    first, second = Removed(1, 2, 3, 4, 5, 6), Removed(10, 20, 30, 40, 50, 60)
    assert first.plus(second) == Removed(11, 22, 33, 44, 55, 66)
    assert Removed(marks=1).sanitised
    assert not Removed(cut=1, overwritten=1).sanitised


@pytest.mark.parametrize(
    "unit",
    ["x", "\x9d", "\x1b]", "\x1b]52;c;aGk=\x07", "a\u0301\u0301\u0301\u0301", "\u200b", "a\r", "\x1b[31mx", "世", "\t"],
)
def test_a_line_of_a_hundred_megabytes_takes_no_time_and_no_room(unit: str) -> None:
    line = unit * (100_000_000 // len(unit))
    started = time.process_time()
    cleaned = clean(line)
    spent = time.process_time() - started
    check(cleaned, safe_text.LINE_LIMIT)
    assert spent < 5, "it takes about 0.1 s: far from what a search that goes back and forth would need"


def test_what_is_taken_for_narrow_without_a_look_is_so() -> None:
    for character in safe_text._NARROW:
        assert cell_len(character) == 1
        assert character == " " or safe_text._kind(character) is safe_text._Kind.LETTER
