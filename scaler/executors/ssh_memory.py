"""What the hosts of an SSH pool said last, and what that still tells while one of them cannot be asked: pure.

A host that cannot be asked has no other workers than those that ran there when it was asked last, and those that were
to be started there since. So all of these count as present, as they were last seen: whoever decides by that never has
more workers than it may, and the other hosts go on. This holds while nobody else starts workers there: what was learned
is dropped when another scaler may have decided meanwhile, and when a host was not asked for `KNOWN_SECONDS`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scaler.executors.ssh_choice import HostSight

KNOWN_SECONDS = 30.0
"""What a host said counts while it was asked again at least this often: a scaler that led no more knows nothing."""

Records = Sequence[Mapping[str, Any]]
"""Workers of a host as `ssh_remote.Record`, each with its `age`."""


@dataclass
class _Said:
    """One host's last answer."""

    workers: dict[str, Mapping[str, Any]]
    question_at: float
    at: float
    """When it came: ages count on from there."""
    asked_at: float
    """When anybody asked last, in vain or not."""
    expected: dict[str, float] = field(default_factory=dict)
    """Worker -> when it was to be started."""


class Memories:
    """The last answers of a pool's hosts. All times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}
        self._since = -math.inf

    def forget(self, now: float) -> None:
        """Another scaler may have started workers: answers to what was asked before now tell nothing for later."""
        self._said.clear()
        self._since = now

    def heard(self, host: str, slots: int, workers: Records, asked_at: float, now: float) -> HostSight:
        """Note a host's answer to a question of `asked_at`; what it tells.

        A start that was sent after the question may be missing in the answer: it is expected on. Looks overlap: an
        answer to an older question than that of the last one is not kept.
        """
        before = self._said.get(host)
        if asked_at >= (before.question_at if before else self._since):
            expected = {name: at for name, at in before.expected.items() if at >= asked_at} if before else {}
            self._said[host] = _Said({worker["name"]: worker for worker in workers}, asked_at, now, now, expected)
        running = sum(worker["ended_at"] is None for worker in workers)
        return HostSight(host, slots, running, running)

    def missed(self, host: str, slots: int, cause: str, now: float) -> tuple[HostSight, Records]:
        """A host could not be asked: what is known of it all the same, and its workers as they were last seen."""
        said = self._said.get(host)
        if said is None or now - said.asked_at > KNOWN_SECONDS:
            self._said.pop(host, None)
            return HostSight(host, slots, None, None, cause), ()
        said.asked_at = now
        workers: list[Mapping[str, Any]] = [
            {**worker, "age": worker["age"] + now - said.at} for worker in said.workers.values()
        ]
        workers += [_coming(name, now - at) for name, at in said.expected.items() if name not in said.workers]
        running = sum(worker["ended_at"] is None for worker in workers)
        return HostSight(host, slots, None, running, cause), workers

    def expect(self, host: str, name: str, now: float) -> None:
        """A worker is about to come into being on a host, and an answer may never tell whether it did."""
        if said := self._said.get(host):
            said.expected[name] = now


def _coming(name: str, age: float) -> Mapping[str, Any]:
    return {"name": name, "age": age, "pid": None, "ended_at": None, "exit_code": None, "detail": ""}
