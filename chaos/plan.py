"""What is to happen in a run: orders and strikes as a pure function of seed, length and setting.

Two runs with the same arguments ask for the same builds and strike the same blows at the same seconds; what the farm
makes of them differs from run to run, as scheduling does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Work(StrEnum):
    """Kinds of builds; what each is, and how it has to end, stands in `chaos.projects`."""

    QUICK = "quick"
    SLOW = "slow"
    FAILING = "failing"
    HANGING = "hanging"
    GIT = "git"
    ROWS = "rows"
    PROGRAM = "program"
    POISON = "poison"
    MESSAGES = "messages"


class Fault(StrEnum):
    """Kinds of strikes."""

    KILL_WORKER = "kill -9 of a worker"
    KILL_PRODUCER = "kill -9 of the producer"
    KILL_SCALER = "kill -9 of the scaler"
    KILL_ALL = "kill -9 of everything at once"
    FREEZE_WORKER = "worker frozen beyond its lease"
    FREEZE_PRODUCER = "producer frozen beyond a lease"
    TERM_WORKER = "SIGTERM of a worker"
    LOCK_STORE = "state file locked by a long writer"
    LOCK_BROKER = "broker file locked by a long writer"
    CUT_BROKER = "broker connections cut"
    REFUSE_BROKER = "broker gone"
    STALL_BROKER = "broker silent, connections half open"
    CUT_STORE = "database connections cut"
    STALL_STORE = "database silent"
    KILL_BROKER = "kill -9 of RabbitMQ, then a restart"
    KILL_STORE = "kill -9 of PostgreSQL, then a restart"
    CONSUMER_TIMEOUT = "RabbitMQ takes tickets back from their workers"
    FALSE_ZERO = "tickets counted as 0, their queue has lost its leader"
    TICKETS = "tickets nobody issued"
    REPORTS = "reports repeated and forged"
    REORDER_REPORTS = "reports held back and handed on in another order"
    STOP_API = "API server gone"
    HANG_API = "API server silent"
    KILL_LEADER = "kill -9 of the leading scaler in a burst"
    FREEZE_LEADER = "leading scaler frozen beyond its Lease, in a burst"
    SECOND_LEADER = "two scalers that lead, in a burst"
    CHANGE_SPEC = "pool's spec changed, both scalers restarted"
    DRAIN_NODE = "node drained"
    PREEMPT = "worker's pod preempted"
    FORCE_DELETE = "worker's pod deleted by force"


EVERYWHERE = (
    Fault.KILL_WORKER,
    Fault.KILL_PRODUCER,
    Fault.KILL_SCALER,
    Fault.KILL_ALL,
    Fault.FREEZE_WORKER,
    Fault.FREEZE_PRODUCER,
    Fault.TERM_WORKER,
    Fault.TICKETS,
    Fault.REPORTS,
    Fault.REORDER_REPORTS,
)
EMBEDDED = (*EVERYWHERE, Fault.LOCK_STORE, Fault.LOCK_BROKER)
SERVERS = (
    *EVERYWHERE,
    Fault.CUT_BROKER,
    Fault.REFUSE_BROKER,
    Fault.STALL_BROKER,
    Fault.CUT_STORE,
    Fault.STALL_STORE,
)
KILLS = (Fault.KILL_BROKER, Fault.KILL_STORE)
OWN_SERVERS = (*SERVERS, *KILLS, Fault.FALSE_ZERO)
"""Where the servers are the run's own."""
OWN_RABBITMQ_3 = (*OWN_SERVERS, Fault.CONSUMER_TIMEOUT)
"""Where RabbitMQ is older than 3.12: later ones heed the longer timeout that a queue of tickets asks for."""

CLUSTER = (
    Fault.STOP_API,
    Fault.HANG_API,
    Fault.KILL_LEADER,
    Fault.FREEZE_LEADER,
    Fault.SECOND_LEADER,
    Fault.CHANGE_SPEC,
    Fault.DRAIN_NODE,
    Fault.PREEMPT,
    Fault.FORCE_DELETE,
    Fault.KILL_PRODUCER,
    Fault.KILL_WORKER,
    Fault.REFUSE_BROKER,
)
"""Where workers are Jobs of a cluster, with two producers and two scalers."""
IN_A_BURST = frozenset({Fault.KILL_LEADER, Fault.FREEZE_LEADER, Fault.SECOND_LEADER})

MAX_ATTEMPTS = 6
"""Strikes come far more often than in life: more than a job can lose to them, few enough that poison ends in time."""

_SHARES = {
    Work.QUICK: 35,
    Work.SLOW: 20,
    Work.FAILING: 10,
    Work.HANGING: 8,
    Work.GIT: 7,
    Work.ROWS: 10,
    Work.PROGRAM: 10,
}
"""Of what is asked for all the time; poison comes beside it, in runs that are long enough to see its end."""
_CANCELLED = 0.12
_POISON_FROM_SECONDS = 120.0
_FIRST_POISON, _BETWEEN_POISON = 5.0, 100.0
_BETWEEN_ORDERS = (0.4, 2.4)
_BETWEEN_STRIKES = (2.0, 6.0)
_CALM_SECONDS = 4.0
"""Before the first strike: the first workers join."""
_LONG_RUN_SECONDS = 300.0
_LONG_STRIKES = {
    Fault.REFUSE_BROKER: 60.0,
    Fault.LOCK_BROKER: 60.0,
    Fault.FREEZE_WORKER: 120.0,
    Fault.STOP_API: 60.0,
    Fault.HANG_API: 60.0,
}
"""In a long run the first strike of each of these lasts so many seconds."""


@dataclass(frozen=True)
class Order:
    """One build to ask for, `at` seconds after the start; `cancel_after` seconds later it is cancelled, None: never."""

    number: int
    at: float
    work: Work
    cancel_after: float | None
    rows: int = 0
    """Of MESSAGES: so many jobs of one row each."""


@dataclass(frozen=True)
class Strike:
    """One fault, `at` seconds after the start, for `seconds`; `pick` (0 to 1) chooses its victim."""

    at: float
    fault: Fault
    seconds: float
    pick: float
    burst: Order | None = None
    """Asked for first; the strike comes once its rows wait."""


@dataclass(frozen=True)
class Schedule:
    """All of one run."""

    orders: tuple[Order, ...]
    strikes: tuple[Strike, ...]
    in_turn: bool = False
    """Whether a strike waits until the one before is over."""

    @property
    def asked(self) -> tuple[Order, ...]:
        """All orders, those of bursts too."""
        return (*self.orders, *(strike.burst for strike in self.strikes if strike.burst is not None))


BURST_ROWS = 60
_LONGEST_TURN = 8.0
_BETWEEN_TURNS = (4.0, 7.0)
"""Strikes in turn leave time between them, in which each one's own end can be seen."""


def in_turn(
    seed: int, seconds: float, faults: tuple[Fault, ...], lease_seconds: float, long_seconds: float = 60.0
) -> Schedule:
    """The run of a seed on a cluster: one strike after the other, so that each one's consequences can be told apart.

    Outages last `long_seconds` when they strike first; in runs below five minutes no outage is longer than the others.
    """
    random = Random(f"turns {seed}")
    orders = _orders(Random(f"orders {seed}"), seconds)
    long = dict.fromkeys(_LONG_STRIKES, long_seconds) if seconds >= _LONG_RUN_SECONDS else {}
    strikes: list[Strike] = []
    waiting: list[Fault] = []
    at = 2 * _CALM_SECONDS
    while at < seconds:
        waiting = waiting or random.sample(faults, len(faults))
        fault = waiting.pop()
        length = long.pop(fault, lease_seconds * random.uniform(1.2, _LONGEST_TURN / lease_seconds))
        number = len(orders) + len(strikes) + 1
        burst = Order(number, 0.0, Work.MESSAGES, None, BURST_ROWS) if fault in IN_A_BURST else None
        strikes.append(Strike(round(at, 3), fault, round(length, 3), round(random.random(), 6), burst))
        at += length + random.uniform(*_BETWEEN_TURNS)
    return Schedule(orders, tuple(strikes), in_turn=True)


def messages(count: int) -> Schedule:
    """No strikes, and one batch of so many jobs, all of which wait at once."""
    return Schedule((Order(1, 0.0, Work.MESSAGES, None, count),), ())


def schedule(
    seed: int, seconds: float, faults: tuple[Fault, ...], lease_seconds: float, first: tuple[Fault, ...] = ()
) -> Schedule:
    """The run of a seed: every kind of fault strikes before any strikes again, those of `first` before the others."""
    return Schedule(
        _orders(Random(f"orders {seed}"), seconds),
        _strikes(Random(f"strikes {seed}"), seconds, faults, lease_seconds, first),
    )


def _orders(random: Random, seconds: float) -> tuple[Order, ...]:
    orders: list[Order] = []
    at = 0.0
    while at < seconds:
        [work] = random.choices(list(_SHARES), list(_SHARES.values()))
        cancel_after = round(random.uniform(0, 5), 3) if random.random() < _CANCELLED else None
        orders.append(Order(len(orders) + 1, round(at, 3), work, cancel_after))
        at += random.uniform(*_BETWEEN_ORDERS)
    poison = range(int((seconds - _FIRST_POISON) // _BETWEEN_POISON) if seconds >= _POISON_FROM_SECONDS else 0)
    for turn in poison:
        orders.append(Order(len(orders) + 1, _FIRST_POISON + turn * _BETWEEN_POISON, Work.POISON, None))
    return tuple(orders)


def _strikes(
    random: Random, seconds: float, faults: tuple[Fault, ...], lease_seconds: float, first: tuple[Fault, ...]
) -> tuple[Strike, ...]:
    strikes: list[Strike] = []
    waiting = [fault for fault in random.sample(faults, len(faults)) if fault not in first] + [*reversed(first)]
    long = dict(_LONG_STRIKES) if seconds >= _LONG_RUN_SECONDS else {}
    at = _CALM_SECONDS
    while at < seconds:
        if not waiting:
            waiting = random.sample(faults, len(faults))
        fault = waiting.pop()
        length = lease_seconds * random.uniform(1.2, 2.0) if "frozen" in fault else random.uniform(0.5, 8.0)
        length = long.pop(fault, length)
        strikes.append(Strike(round(at, 3), fault, round(length, 3), round(random.random(), 6)))
        at += random.uniform(*_BETWEEN_STRIKES)
    return tuple(strikes)
