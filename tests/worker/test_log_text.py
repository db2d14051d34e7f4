from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.log_text import MAX_LINE_BYTES, LineSplitter, clean_line, without_colours

_COLOUR = re.compile("\x1b\\[[0-9;:]*m")
_PIECES = st.sampled_from(
    [
        b"text", b"\x1b[31m", b"\x1b[0m", b"\x1b", b"\x1b[", b"\x1b[2J", b"\x1b]0;title\x07", b"\x1b]8;;url\x1b\\",
        b"\x1bP1$r\x1b\\", b"\x9b31m", b"\xc2\x9b2J", b"\x00", b"\r", b"\t", b"\x07", b"\xff", b"\xe2\x80\xa8",
        "ü€😀".encode(), b"m", b"[", b"]", b"\x1b\\", b"\x7f", b"\xc2\x85", b"\x1b(B", b"\x1b[38;2;1;2;3m",
    ]
)  # fmt: skip


@given(st.lists(_PIECES | st.binary(max_size=8), max_size=40).map(b"".join))
def test_no_control_code_but_colours_and_tabs_survives(raw: bytes) -> None:
    text = clean_line(raw.replace(b"\n", b""))

    plain = _COLOUR.sub("", text)
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", plain)
    assert len(text.encode()) <= MAX_LINE_BYTES


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert clean_line(text.encode()) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31merror\x1b[0m: x", "\x1b[1;31merror\x1b[0m: x"),
        (b"a\x1b[2Kb", "ab"),
        (b"\x1b]0;owned\x07prompt", "prompt"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"10%\r20%\r100%\r", "100%"),
        (b"windows\r", "windows"),
        (b"a\tb", "a\tb"),
        (b"nul\x00byte", "nulbyte"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("two\u2028lines".encode(), "two lines"),
        (b"cut\x1b[3", "cut"),
    ],
)
def test_known_sequences(raw: bytes, text: str) -> None:
    assert clean_line(raw) == text


def test_a_long_line_is_cut_with_a_mark_that_counts_what_is_gone() -> None:
    text = clean_line(b"x" * 20_000, dropped=7)

    kept = len(text.partition(" … ")[0])
    assert text.endswith(f"[{20_000 + 7 - kept} bytes cut]")
    assert len(text.encode()) <= MAX_LINE_BYTES


def test_a_cut_does_not_leave_half_a_colour() -> None:
    text = clean_line(b"\x1b[31m" * 10_000)

    assert "\x1b" not in _COLOUR.sub("", text)


def test_colours_are_removed_for_counting() -> None:
    assert without_colours("\x1b[1mwarning\x1b[0m: x") == "warning: x"


@given(st.lists(st.binary(max_size=30), max_size=20), st.integers(min_value=1, max_value=50))
def test_lines_come_out_the_same_however_the_stream_is_cut(pieces: list[bytes], size: int) -> None:
    stream = b"".join(pieces)
    splitter = LineSplitter()
    lines = [line for at in range(0, len(stream), size) for line in splitter.feed(stream[at : at + size])]
    lines += splitter.finish()

    assert [line for line, _ in lines] == stream.removesuffix(b"\n").split(b"\n") * bool(stream)


def test_a_line_without_end_is_held_within_its_bound() -> None:
    splitter = LineSplitter(100)
    for _ in range(1000):
        assert splitter.feed(b"x" * 1000) == []

    assert splitter.finish() == [(b"x" * 100, 1_000_000 - 100)]


def test_a_progress_display_without_line_feeds_keeps_its_last_state() -> None:
    splitter = LineSplitter(100)
    for percent in range(101):
        splitter.feed(f"\rdone {percent} of 100 percent".encode())

    ((line, dropped),) = splitter.finish()
    assert (clean_line(line), dropped) == ("done 100 of 100 percent", 0)
