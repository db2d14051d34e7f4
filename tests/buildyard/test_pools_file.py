"""The pools file: what it may declare, and how a mistake in it is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.errors import InvalidSettings
from buildyard.pools_file import load_farm, load_pools, read_pools_file
from buildyard.settings import load_settings

GUIDE = Path(__file__).parents[2] / "docs" / "scaling.md"
TWO = "[pools.linux]\n[pools.windows]\n"


def test_without_a_file_there_is_one_pool_of_local_processes() -> None:
    [pool] = load_pools(load_settings())

    assert (pool.name, pool.executor) == ("linux", "process")
    assert pool.policy.max_workers >= 1


def test_pools_are_read_with_policy_and_capabilities(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(
        '[pools.linux.policy]\nmax_workers = 3\n[pools.windows.capabilities]\ntools = {dotnet = "8"}\ncores = 4\n'
    )

    linux, windows = load_pools(load_settings(pools_file=file))

    assert linux.policy.max_workers == 3
    assert (windows.capabilities.tools, windows.capabilities.cores) == ({"dotnet": "8"}, 4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[pools", "pools.toml:1:7: it is not TOML"),
        ("", "pools.toml declares no pool"),
        ("[pool.linux]\n", "pools.toml:1:2: pool is unknown; allowed here: farm, pools"),
        ("[pools.linux.policy]\nmax_worker = 1\n", "pools.toml:2:1: pools.linux.policy.max_worker is unknown"),
        ("[pools.linux.policy]\n  maxWorkers = -1\n", "pools.toml:2:16: pools.linux.policy.maxWorkers must be"),
        ("[pools.linux.policy]\nname = 'brute'\n", "pools.toml:2:8: pools.linux.policy.name must be 'burst' or"),
        ("[pools.Linux]\n", "pools.toml:1:8: pools.Linux: the name of a pool is"),
        ("[pools]\nlinux = 3\n", "pools.toml:2:9: pools.linux must be a table"),
        ("[pools.a]\nname = 'b'\n", "pools.toml:2:1: pools.a.name is unknown"),
        ("pools = 3\n", "pools.toml:1:9: pools must be a table"),
        ('[pools.linux]\nexecutor = "magic"\n', "pools.toml:2:12: pools.linux.executor must be 'process', 'docker'"),
        ("[pools.linux]\n[pools.linux]\n", "pools.toml:2:13: pools.linux is declared twice"),
        ("[pools.a]\nweight = 0\n", "pools.toml:2:10: pools.a.weight must be greater than 0"),
        ("[pools.a]\n\n[pools.a.docker]\n", "pools.toml:1:8: pools.a: it has a table docker, but its executor is proc"),
        ("[farm]\nmax_workers = 0\n[pools.a]\n", "pools.toml:2:15: farm.max_workers must be greater than"),
        ("[farm]\nmost = 3\n[pools.a]\n", "pools.toml:2:1: farm.most is unknown; allowed here: max_workers"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_its_line_and_column(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_pools_file(text, "pools.toml")

    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


@given(st.text(alphabet="[]pols.inux={}\"'\n 3dockeraf", max_size=60))
def test_whatever_the_text_a_farm_or_one_sentence_comes_of_it(text: str) -> None:
    told = ""
    try:
        assert read_pools_file(text, "f").pools
    except InvalidSettings as error:
        told = str(error)
    assert "\n" not in told


def test_one_maximum_for_all_pools_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text("[farm]\nmax_workers = 7\n" + TWO)

    assert load_farm(load_settings(pools_file=file)).max_workers == 7


def test_the_setting_goes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text("[farm]\nmax_workers = 7\n" + TWO)

    assert load_farm(load_settings(pools_file=file, max_workers=5)).max_workers == 5
    assert load_farm(load_settings(max_workers=3)).max_workers == 3


def test_a_maximum_below_the_number_of_pools_is_refused_since_one_would_starve(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text("[farm]\nmax_workers = 1\n" + TWO)

    with pytest.raises(InvalidSettings, match=r"farm.max_workers is 1, less than the 2 pools"):
        load_farm(load_settings(pools_file=file))
    with pytest.raises(InvalidSettings, match="BUILDYARD_MAX_WORKERS is 1"):
        load_farm(load_settings(pools_file=file, max_workers=1))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read: No such file"):
        load_pools(load_settings(pools_file=tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(InvalidSettings, match="not UTF-8"):
        load_pools(load_settings(pools_file=tmp_path / "latin.toml"))


def test_the_examples_of_the_guide_can_be_read_and_its_mistake_is_told_as_it_says() -> None:
    examples = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)

    farms = [read_pools_file(example, "pools.toml") for example in examples]
    assert (farms[-1].max_workers, [(pool.name, pool.weight) for pool in farms[-1].pools]) == (
        25,
        [("linux", 2), ("windows", 1)],
    )
    place = "pools.toml:8:1: pools.linux.policy.max_worker is unknown; allowed here: "
    with pytest.raises(InvalidSettings, match=re.escape(place)):
        read_pools_file(examples[-1].replace("max_workers = 20", "max_worker = 20"), "pools.toml")
    assert " ".join(place.split()) in " ".join(GUIDE.read_text().split())
