"""A pool on several hosts of which some cannot be asked, step by step in any order: never more workers than allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from scaler.executors.ssh_choice import HostSight, choose, unseen
from scaler.executors.ssh_memory import KNOWN_SECONDS, Memories

SLOTS = 3
HOSTS = ("a", "b", "c")
MOST = 6


@dataclass
class Host:
    """A machine as it truly is: worker -> whether it ended."""

    workers: dict[str, bool] = field(default_factory=dict)
    away: bool = False

    def records(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "age": 1.0, "pid": 1, "ended_at": 1.0 if ended else None, "exit_code": None, "detail": ""}
            for name, ended in self.workers.items()
        ]


class Yard:
    """Some hosts, and what a scaler remembers of them."""

    def __init__(self) -> None:
        self.hosts = {name: Host() for name in HOSTS}
        self.memories = Memories()
        self.now = 0.0
        self.names = 0
        self.asked: list[tuple[str, float, list[dict[str, Any]]]] = []
        self.seen_all = False

    def look(self) -> tuple[list[HostSight], list[str]] | None:
        """The sights and who counts as running; None while that is unknown."""
        sights, running = [], []
        for name, host in self.hosts.items():
            if host.away:
                sight, workers = self.memories.missed(name, SLOTS, "It is away.", self.now)
            else:
                workers = host.records()
                sight = self.memories.heard(name, SLOTS, workers, self.now, self.now)
            sights.append(sight)
            running += [worker["name"] for worker in workers if worker["ended_at"] is None]
        self.seen_all = self.seen_all or not any(host.away for host in self.hosts.values())
        if self.seen_all and not all(host.away for host in self.hosts.values()):
            assert not unseen(sights), "one host answers, and all were seen"
        return None if unseen(sights) else (sights, running)

    def start(self, outcome: str) -> None:
        """Start one where there is room, as the executor does; `outcome` is what comes of it, told or not."""
        look = self.look()
        if look is None or len(look[1]) >= MOST:
            return
        host = choose(look[0])
        if host is None:
            return
        self.names += 1
        name = f"linux-{self.names}-1"
        self.memories.expect(host, name, self.now)
        event(outcome)
        if outcome != "lost on its way":
            self.hosts[host].workers[name] = False
        if outcome != "started":
            self.hosts[host].away = True

    def ask(self, host: str) -> None:
        """A question whose answer takes its time."""
        if not self.hosts[host].away:
            self.asked.append((host, self.now, self.hosts[host].records()))

    def answer(self) -> None:
        """The answer that took its time comes, whatever happened meanwhile."""
        if self.asked:
            host, asked_at, records = self.asked.pop()
            self.memories.heard(host, SLOTS, records, asked_at, self.now)

    def check(self) -> None:
        runs = {name for host in self.hosts.values() for name, ended in host.workers.items() if not ended}
        look = self.look()
        if look is not None:
            assert runs <= set(look[1]), "who runs counts, also where nobody sees it"
            assert len(look[1]) == len(set(look[1]))
        assert len(runs) <= MOST


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("start", "start", "away", "back", "end", "ask", "answer", "forget", "wait")),
            st.sampled_from(HOSTS),
            st.sampled_from(("started", "started, and not told", "lost on its way")),
        ),
        max_size=40,
    )
)
def test_never_more_workers_than_allowed_whichever_hosts_are_away(steps: list[tuple[str, str, str]]) -> None:
    yard = Yard()
    for step, name, outcome in steps:
        host = yard.hosts[name]
        yard.now += 1.0
        match step:
            case "start":
                yard.start(outcome)
            case "away" | "back":
                host.away = step == "away"
            case "end":
                host.workers = dict.fromkeys(host.workers, True)
            case "ask":
                yard.ask(name)
            case "answer":
                yard.answer()
            case "forget":
                yard.memories.forget(yard.now)
                yard.seen_all = False
            case "wait":
                yard.now += KNOWN_SECONDS
                yard.seen_all, yard.asked = False, []
        if step != "answer":  # what a late answer leaves behind is not looked away at once
            yard.check()


def test_a_worker_that_was_to_be_started_counts_until_an_answer_to_a_later_question() -> None:
    memories = Memories()
    memories.heard("a", SLOTS, (), 0, 0)
    memories.expect("a", "linux-1-1", 2)

    memories.heard("a", SLOTS, (), 1, 3)
    sight, workers = memories.missed("a", SLOTS, "It is away.", 5)
    assert (sight.running, sight.last_running) == (None, 1)
    assert [(worker["name"], worker["age"], worker["ended_at"]) for worker in workers] == [("linux-1-1", 3, None)]

    memories.heard("a", SLOTS, (), 6, 6)
    assert memories.missed("a", SLOTS, "It is away.", 7) == (HostSight("a", SLOTS, None, 0, "It is away."), [])


def test_what_nobody_asked_about_for_long_is_unknown() -> None:
    memories = Memories()
    memories.heard("a", SLOTS, (), 0, 0)

    for now in (KNOWN_SECONDS, 2 * KNOWN_SECONDS):  # asked again in time, though in vain
        assert memories.missed("a", SLOTS, "It is away.", now)[0].last_running == 0
    assert memories.missed("a", SLOTS, "It is away.", 3 * KNOWN_SECONDS + 1)[0].last_running is None
    assert memories.missed("a", SLOTS, "It is away.", 3 * KNOWN_SECONDS + 2)[0].last_running is None
