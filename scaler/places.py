"""What each pool holds of the farm's places, as far as the loops of this process have seen and decided.

A loop asks for what the others hold and puts down what it decided without a pause between, so whatever the order of
the ticks, all pools together never plan more than there are places. Each row is made anew by its pool's next look;
between two looks it only grows by what was started: it never tells less than there is. A start of which nobody knows
what came holds its place until a look shows the worker, or so long after that it will not come any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from buildyard.contracts.scaling import FarmPlaces, Plan, PoolConfig, PoolObserved, PoolPlaces, Trust, WorkerState
from scaler.decide import wanted
from scaler.readings import slot_of
from scaler.shares import doubted_places

STARVING_SECONDS = 30.0
"""A pool whose oldest job has waited so long, and that may start no worker, starves: others give way to it."""
DOUBT_SECONDS = 60.0
"""A start that was not answered may still work for so long: an API server's own limit for a request (1 minute)."""


class _Doubt(NamedTuple):
    """A worker that may be on its way."""

    slot: int
    generation: int
    since: float


class Places:
    """The places of a farm.

    Args:
        pools: all of them; a pool that was not seen yet counts with its own maximum.
        max_workers: how many workers they may have together; None: nothing bounds them.
    """

    def __init__(self, pools: Sequence[PoolConfig] = (), max_workers: int | None = None) -> None:
        self._max_workers = max_workers
        self._unseen = {
            pool.name: PoolPlaces(name=pool.name, held=pool.policy.max_workers, weight=pool.weight, seen=False)
            for pool in pools
        }
        self._rows = dict(self._unseen)
        self._doubts: dict[str, dict[str, _Doubt]] = {pool.name: {} for pool in pools}

    def forget(self) -> None:
        """Nothing is known any more: another process may have decided meanwhile. Doubts stay: our starts may work."""
        self._rows = dict(self._unseen)

    def doubt(self, pool: str, worker: str, now: float) -> None:
        """The start of a worker was not answered: it may come yet. `now` is on the monotonic clock of `note`."""
        place = slot_of(pool, worker)
        if self._max_workers is not None and place is not None:
            self._doubts[pool][worker] = _Doubt(*place, now)

    def around(self, observed: PoolObserved, now: float) -> FarmPlaces | None:
        """What a decision about this pool reads of the others, and of its own starts; None without a bound.

        Args:
            observed: the pool as it was just seen.
            now: on the monotonic clock of `doubt`.
        """
        if self._max_workers is None:
            return None
        pool = observed.pool
        self._settle(observed, now)
        others = tuple(row for name, row in self._rows.items() if name != pool)
        present = [one for one in observed.workers or () if one.state is not WorkerState.EXITED]
        free = self._max_workers - len(present) - sum(row.held for row in others)
        taken = {one.slot for one in present}
        slots = [slot for slot in range(1, len(taken) + max(0, free) + 1) if slot not in taken]
        doubted = doubted_places(free, slots, {doubt.slot for doubt in self._doubts[pool].values()})
        weight = self._rows[pool].weight
        return FarmPlaces(max_workers=self._max_workers, weight=weight, others=others, doubted=doubted)

    @property
    def bounded(self) -> bool:
        """Whether the pools share a maximum."""
        return self._max_workers is not None

    def note(self, observed: PoolObserved, plan: Plan | None = None, *, now: float) -> None:
        """Put down what was seen of a pool, and what is about to be done; `now` in seconds of a monotonic clock."""
        if self._max_workers is None:
            return
        start, drain = (set(plan.start), len(plan.drain)) if plan else (set(), 0)
        row = self._rows[observed.pool]
        if observed.workers is None:
            self._rows[row.name] = row.model_copy(update={"wanted": 0, "starving": False})
            return
        states = Counter(worker.state for worker in observed.workers)
        self._settle(observed, now)
        more = max(0, wanted(observed) - len(start))
        trusted = observed.ready.trust is Trust.TRUSTED
        self._rows[row.name] = PoolPlaces(
            name=row.name,
            held=len(observed.workers) - states[WorkerState.EXITED] + len(start | self._doubts[row.name].keys()),
            wanted=more,
            leaving=states[WorkerState.DRAINING] + drain,
            weight=row.weight,
            starving=more > 0 and trusted and (observed.oldest_wait_seconds or 0) >= STARVING_SECONDS,
        )

    def _settle(self, observed: PoolObserved, now: float) -> None:
        """End doubts: a look shows the worker, the producer knows that it was there, or it will not come any more."""
        seen, known = {worker.name for worker in observed.workers or ()}, observed.generations
        self._doubts[observed.pool] = {
            name: doubt
            for name, doubt in self._doubts[observed.pool].items()
            if name not in seen and known.get(doubt.slot, 0) < doubt.generation and now - doubt.since < DOUBT_SECONDS
        }
