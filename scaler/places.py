"""What each pool holds of the farm's places, as far as the loops of this process have seen and decided.

A loop asks for what the others hold and puts down what it decided without a pause between, so whatever the order of
the ticks, all pools together never plan more than there are places. Each row is made anew by its pool's next look;
between two looks it only grows by what was started: it never tells less than there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from buildyard.contracts.scaling import FarmPlaces, Plan, PoolConfig, PoolObserved, PoolPlaces, Trust, WorkerState
from scaler.decide import wanted

STARVING_SECONDS = 30.0
"""A pool whose oldest job has waited so long, and that may start no worker, starves: others give way to it."""


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

    def forget(self) -> None:
        """Nothing is known any more: another process may have decided meanwhile."""
        self._rows = dict(self._unseen)

    def around(self, pool: str) -> FarmPlaces | None:
        """What a decision about this pool reads of the others; None without a bound."""
        if self._max_workers is None:
            return None
        others = tuple(row for name, row in self._rows.items() if name != pool)
        return FarmPlaces(max_workers=self._max_workers, weight=self._rows[pool].weight, others=others)

    @property
    def bounded(self) -> bool:
        """Whether the pools share a maximum."""
        return self._max_workers is not None

    def note(self, observed: PoolObserved, plan: Plan | None = None) -> None:
        """Put down what was seen of a pool, and what is about to be done."""
        if self._max_workers is None:
            return
        start, drain = (len(plan.start), len(plan.drain)) if plan else (0, 0)
        row = self._rows[observed.pool]
        if observed.workers is None:
            self._rows[row.name] = row.model_copy(update={"wanted": 0, "starving": False})
            return
        states = Counter(worker.state for worker in observed.workers)
        more = max(0, wanted(observed) - start)
        trusted = observed.ready.trust is Trust.TRUSTED
        self._rows[row.name] = PoolPlaces(
            name=row.name,
            held=len(observed.workers) - states[WorkerState.EXITED] + start,
            wanted=more,
            leaving=states[WorkerState.DRAINING] + drain,
            weight=row.weight,
            starving=more > 0 and trusted and (observed.oldest_wait_seconds or 0) >= STARVING_SECONDS,
        )
