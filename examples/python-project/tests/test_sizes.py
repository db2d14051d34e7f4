import pytest

from humanunits import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("17 B", 17), ("1 kB", 1000), ("1KiB", 1024), ("1.5 GiB", 1_610_612_736), (" 2 tb ", 2 * 10**12)],
)
def test_sizes_are_read_with_either_kind_of_unit(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "1.5.2 MB", "-1 kB", "3 parsecs"])
def test_what_is_no_size_is_refused_with_the_text(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (5 * 1024**4, "5 TiB")]
)
def test_sizes_are_written_in_the_largest_fitting_unit(count, expected):
    assert format_size(count) == expected


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="not negative"):
        format_size(-1)


@pytest.mark.parametrize("power", range(6))
def test_a_written_size_reads_back_as_itself(power):
    assert parse_size(format_size(3 * 1024**power)) == 3 * 1024**power
