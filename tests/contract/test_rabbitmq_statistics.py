"""What RabbitMQ's statistics say, read so that nothing missing is ever taken for 0."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildyard.broker.rabbitmq_statistics import Sample, Ticks, read_metrics, read_queue
from buildyard.errors import UnknownCount

LEADER = "rabbit@one"
QUEUE: dict[str, Any] = {
    "type": "quorum",
    "state": "running",
    "leader": LEADER,
    "online": [LEADER, "rabbit@two"],
    "messages": 9,
    "messages_ready": 5,
    "messages_unacknowledged": 3,
    "reductions": 1234,
}
CLASSIC = {name: QUEUE[name] for name in QUEUE if name not in {"leader", "online", "reductions"}} | {"type": "classic"}
METRICS = """\
# TYPE rabbitmq_detailed_queue_messages_ready gauge
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="jobs.linux"} 5
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="jobs.other"} 70
rabbitmq_detailed_queue_messages_ready{vhost="farm",queue="jobs.linux"} 80
rabbitmq_detailed_queue_messages_unacked{vhost="/",queue="jobs.linux"} 3
rabbitmq_detailed_queue_messages{vhost="/",queue="jobs.linux"} 9.0
rabbitmq_detailed_queue_process_reductions_total{vhost="/",queue="jobs.linux"} 1234
rabbitmq_detailed_queue_messages_ready{vhost="/",queue="odd \\"one\\""} 6
"""


def test_a_queue_with_a_leader_is_read_with_all_its_counts() -> None:
    assert read_queue(QUEUE) == Sample(ready=5, unacked=3, total=9, tick=1234, has_leader=True)


def test_a_classic_queue_has_neither_leader_nor_mark() -> None:
    assert read_queue(CLASSIC) == Sample(ready=5, unacked=3, total=9, tick=None, has_leader=None)


@pytest.mark.parametrize("change", [{"leader": None}, {"leader": ""}, {"online": []}, {"online": ["rabbit@two"]}])
def test_a_leader_that_is_gone_is_told_though_the_counts_look_well(change: dict[str, Any]) -> None:
    assert read_queue(QUEUE | change).has_leader is False


@pytest.mark.parametrize("name", sorted(QUEUE.keys() - {"online"}))
def test_a_missing_field_is_unknown_and_never_zero(name: str) -> None:
    with pytest.raises(UnknownCount):
        read_queue({field: QUEUE[field] for field in QUEUE if field != name})


@pytest.mark.parametrize("name", ["messages", "messages_ready", "messages_unacknowledged", "reductions"])
@pytest.mark.parametrize("value", [None, -1, "0", 0.0, True, [], {}])
def test_what_is_no_count_is_unknown(name: str, value: object) -> None:
    with pytest.raises(UnknownCount, match=name):
        read_queue(QUEUE | {name: value})


@pytest.mark.parametrize("change", [{"state": "down"}, {"state": "minority"}, {"state": 1}, {"messages": 7}])
def test_a_queue_that_is_not_well_is_unknown(change: dict[str, Any]) -> None:
    with pytest.raises(UnknownCount):
        read_queue(QUEUE | change)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_any_other_answer_is_unknown(document: object) -> None:
    with pytest.raises(UnknownCount):
        read_queue(document)


@given(st.dictionaries(st.sampled_from(sorted(QUEUE)), st.none() | st.integers() | st.text(max_size=3)))
def test_whatever_the_fields_hold_counts_are_whole_or_unknown(change: dict[str, Any]) -> None:
    try:
        sample = read_queue(QUEUE | change)
    except UnknownCount:
        return
    assert sample.total >= sample.ready + sample.unacked >= 0


def test_the_metrics_of_one_queue_are_found_among_all() -> None:
    assert read_metrics(METRICS, "/", "jobs.linux") == Sample(5, 3, 9, 1234, None)
    assert read_metrics(METRICS, "/", "jobs.docker") is None
    assert read_metrics("", "/", "jobs.linux") is None


@pytest.mark.parametrize(
    ("vhost", "queue", "text"),
    [
        ("/", 'odd "one"', METRICS),
        ("farm", "jobs.linux", METRICS),
        ("/", "jobs.linux", METRICS.replace("} 5", "} NaN")),
        ("/", "jobs.linux", METRICS.replace("} 5", "} -5")),
        ("/", "jobs.linux", METRICS.replace("} 5", "} 5.5")),
        ("/", "jobs.linux", METRICS.replace("} 9.0", "} 7")),
        ("/", "jobs.linux", METRICS + METRICS),
    ],
)
def test_metrics_that_lack_something_are_unknown(vhost: str, queue: str, text: str) -> None:
    with pytest.raises(UnknownCount):
        read_metrics(text, vhost, queue)


def test_the_age_of_statistics_is_counted_from_before_their_newest_tick() -> None:
    ticks = Ticks()
    looks = [(100, 0.0), (100, 1.0), (200, 2.0), (200, 3.0), (200, 9.0), (300, 10.0)]

    ages = [ticks.age("management", "jobs.linux", tick, now) for tick, now in looks]

    assert ages == [None, None, 1.0, 2.0, 8.0, 1.0]
    assert ticks.age("metrics", "jobs.linux", 300, 11.0) is None
