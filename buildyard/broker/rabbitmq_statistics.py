"""RabbitMQ's statistics of a queue -> counts and how old they can be. Values only, no connection.

Statistics look well when they are not: a field that is missing is not 0, a queue without a leader keeps its last
counts, and nothing in them says when they were taken. But a quorum queue's leader works a little for every tick of
its statistics, so its `reductions` differ from tick to tick: while they stand still there was no new tick.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from buildyard.errors import UnknownCount

_WELL = frozenset({"running", "idle", "flow"})
_LED = frozenset({"quorum", "stream"})
_METRIC = re.compile(
    r"^rabbitmq_detailed_queue_(?P<name>messages_ready|messages_unacked|messages|process_reductions_total)"
    r"\{(?P<labels>[^\n]*)\}[ \t]+(?P<value>\S+)",
    re.MULTILINE,
)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True)
class Sample:
    """The counts of one tick of statistics; `tick` differs from tick to tick, None where there is no such mark."""

    ready: int
    unacked: int
    total: int
    tick: int | None
    has_leader: bool | None


def read_queue(document: object) -> Sample:
    """Read the answer of `GET /api/queues/VHOST/NAME`.

    Raises:
        UnknownCount: a field that counts is missing or makes no sense; the sentence names it.
    """
    if not isinstance(document, Mapping):
        raise UnknownCount("The answer is no object.")
    led = _kind(document) in _LED
    has_leader = _led(document) if led else None
    if has_leader is not False and document.get("state") not in _WELL:
        raise UnknownCount("The queue's state is missing or not running.")
    ready, unacked, total = (
        _number(document.get(name), name) for name in ("messages_ready", "messages_unacknowledged", "messages")
    )
    tick = _number(document.get("reductions"), "reductions") if led else None
    return _sample(ready, unacked, total, tick, has_leader)


def read_metrics(text: str, vhost: str, queue: str) -> Sample | None:
    """Read one queue of `GET /metrics/detailed?family=queue_coarse_metrics`; None where the queue is not in it.

    A node tells only of the queues whose leaders it has, and a plugin may be set to tell of none.

    Raises:
        UnknownCount: a metric is missing, doubled or makes no sense.
    """
    found: dict[str, int] = {}
    for line in _METRIC.finditer(text):
        labels = {name: _ESCAPED.sub(r"\1", value) for name, value in _LABEL.findall(line["labels"])}
        if (labels.get("vhost"), labels.get("queue")) != (vhost, queue):
            continue
        if line["name"] in found:
            raise UnknownCount(f"The metric {line['name']} is there twice.")
        found[line["name"]] = _number(_whole(line["value"]), line["name"])
    if not found:
        return None
    names = ("messages_ready", "messages_unacked", "messages", "process_reductions_total")
    ready, unacked, total, tick = (_number(found.get(name), name) for name in names)
    return _sample(ready, unacked, total, tick, has_leader=None)


class Ticks:
    """When the newest tick of each source was first seen, on a monotonic clock in seconds."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], _Seen] = {}

    def age(self, source: str, queue: str, tick: int, now: float) -> float | None:
        """How old the newest tick can be; None until a second one was seen: the first may be of any age."""
        seen = self._seen.get((source, queue))
        if seen is None:
            seen = _Seen(tick, None, now)
        elif seen.tick != tick:
            seen = _Seen(tick, seen.asked, now)  # it came after the last look, that is all one knows
        else:
            seen = _Seen(tick, seen.after, now)
        self._seen[source, queue] = seen
        return None if seen.after is None else now - seen.after


@dataclass(frozen=True)
class _Seen:
    tick: int
    after: float | None
    asked: float


def _kind(document: Mapping[object, object]) -> str:
    kind = document.get("type")
    if not isinstance(kind, str):
        raise UnknownCount("The queue's type is missing.")
    return kind


def _led(document: Mapping[object, object]) -> bool:
    """Whether a leader is named and is among the members that are online."""
    if "leader" not in document:
        raise UnknownCount("The queue's leader is missing.")
    leader, online = document["leader"], document.get("online")
    if not isinstance(leader, str) or not leader:
        return False
    return isinstance(online, list) and leader in online


def _sample(ready: int, unacked: int, total: int, tick: int | None, has_leader: bool | None) -> Sample:  # noqa: FBT001 - a third value of its own, None, is told apart
    if total < ready + unacked:
        raise UnknownCount("The counts contradict each other: the total is less than its parts.")
    return Sample(ready, unacked, total, tick, has_leader)


def _number(value: object, name: str) -> int:
    if value is None:
        raise UnknownCount(f"The field {name} is missing.")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnknownCount(f"The field {name} is no count.")
    return value


def _whole(text: str) -> int | str:
    """`5`, and `5.0` as some versions of the plugin write it."""
    match = re.fullmatch(r"(\d{1,18})(?:\.0+)?", text)
    return int(match[1]) if match else text
