from datetime import timedelta

import pytest

from humanunits import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", timedelta(seconds=5)),
        ("2h 30m", timedelta(hours=2, minutes=30)),
        ("1d2h3m4.5s", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
    ],
)
def test_durations_are_read_part_by_part(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "30m 2h", "h", "1.5h", "-3s"])
def test_what_is_no_duration_is_refused_with_the_text(text):
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (59.6, "1m"), (9000, "2h 30m"), (90_061, "1d 1h"), (86_405, "1d 5s")]
)
def test_durations_are_written_with_their_two_largest_parts(seconds, expected):
    assert format_duration(timedelta(seconds=seconds)) == expected
