"""The page of figures: a bench rewrites its own section and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.figures import Row, Section, page, percentile, written
from bench.peers import environment
from bench.peers.contestants import BARE, BARE_CLASSIC, OURS, OURS_CLASSIC
from bench.peers.figures import WHOLE, Batch, Port, Product, aims, batches_table, ports_table

ORDER = ("start", "broker", "demo")


def section(name: str, figure: str) -> str:
    return written(
        name, name.capitalize(), Section([Row("waiting", figure, "1 to 3 ms in 3 runs", "< 5 ms")], "Words.")
    )


def test_a_bench_rewrites_its_own_section_and_leaves_the_others() -> None:
    first = page("", {"demo": section("demo", "17 s"), "start": section("start", "2 ms")}, ORDER)
    second = page(first, {"start": section("start", "1 ms")}, ORDER)
    assert "17 s" in second
    assert "1 ms |" in second
    assert "2 ms |" not in second
    assert second.index("## Start") < second.index("## Demo")


def test_writing_the_same_section_again_changes_nothing() -> None:
    once = page("", {"broker": section("broker", "9 ms")}, ORDER)
    assert page(once, {"broker": section("broker", "9 ms")}, ORDER) == once


def test_a_section_of_a_bench_that_is_gone_goes_too() -> None:
    assert "## Demo" not in page(page("", {"demo": section("demo", "17 s")}, ORDER), {}, ("start", "broker"))


def test_each_section_names_its_command_and_machine() -> None:
    text = section("start", "1 ms")
    assert "`./manage.sh bench start`" in text
    assert re.search(r"on \d{4}-\d\d-\d\d: \d+ cores", text)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 3), (0.99, 5), (1.0, 5)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([5, 3, 1, 2, 4], share) == expected


# ---------------------------------------------------------------- beside the others


def port(name: str, queue: str, start: float, rate: float) -> Port:
    return Port(name, queue, [[start] * 3], {1: [rate], 50: [rate]}, {1: [100.0], 50: [100.0]}, [30.0])


def everybody(peer_start: float, peer_rate: float) -> list[Port]:
    ours = [port(OURS, "quorum", 1.0, 100.0), port(BARE, "quorum", 1.0, 100.0)]
    classic = [port(OURS_CLASSIC, "classic", 1.0, 200.0), port(BARE_CLASSIC, "classic", 1.0, 200.0)]
    return [*ours, *classic, port("celery prefork", "classic", peer_start, peer_rate)]


def said(ports: list[Port], own_rate: float) -> str:
    batches = [Batch(WHOLE, "PostgreSQL", [own_rate], [1.0]), Batch("celery prefork", "Redis", [100.0], [1.0])]
    assert f"{own_rate:,.0f}" in batches_table(batches, 10)
    product = Product([[10.0] * 3], [30.0], [0.1])
    assert WHOLE in ports_table(ports, product)
    return aims(ports, batches, product)


def test_where_nobody_is_ahead_all_aims_are_met() -> None:
    assert "not met" not in said(everybody(peer_start=2.0, peer_rate=50.0), own_rate=200.0)


def test_a_peer_that_is_ahead_is_named() -> None:
    text = said(everybody(peer_start=0.5, peer_rate=150.0), own_rate=120.0)
    missed = [line for line in text.splitlines() if "not met" in line]
    assert [("start" in line, "prefetch" in line, "rows/s" in line) for line in missed] == [
        (True, False, False),
        (False, True, False),
        (False, True, False),
        (False, False, True),
    ]
    assert "on quorum: celery prefork; on classic: nobody" in missed[1]


def test_the_others_are_pinned_and_hashed_and_their_lock_names_no_address() -> None:
    text = environment.LOCK.read_text(encoding="utf-8")
    names = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert names
    assert all(re.match(r"[\w.-]+==\S+ .*\\$", line) for line in names)
    assert "://" not in text
    wanted = Path(environment.LOCK).with_suffix(".in").read_text(encoding="utf-8").splitlines()
    wishes = {line.partition("[")[0] for line in wanted if line and not line.startswith("#")}
    assert wishes <= environment.versions().keys()
