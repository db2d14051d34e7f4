"""Short ways to write down what a decision sees."""

from __future__ import annotations

from buildyard.contracts.scaling import (
    FarmPlaces,
    LearnedStart,
    PoolObserved,
    PoolPlaces,
    PoolSuiting,
    Reading,
    ScalingPolicy,
    Trust,
    WorkerState,
    WorkerView,
)


def known(value: int, trust: Trust = Trust.TRUSTED, cause: str = "") -> Reading:
    return Reading(value=value, source="test", trust=trust, cause=cause)


def unknown(cause: str = "The producer cannot be reached.") -> Reading:
    return Reading(source="test", trust=Trust.UNKNOWN, cause=cause)


def worker(slot: int, state: WorkerState, generation: int = 1, pool: str = "linux", age: float = 0) -> WorkerView:
    name = f"{pool}-{slot}-{generation}"
    return WorkerView(name=name, slot=slot, generation=generation, state=state, age_seconds=age)


def crowd(*states: WorkerState) -> tuple[WorkerView, ...]:
    """Workers in the slots 1, 2, 3 ... with these states."""
    return tuple(worker(slot, state) for slot, state in enumerate(states, start=1))


def observed(
    *,
    ready: Reading | int = 0,
    leases: Reading | int = 0,
    queue_ready: Reading | int | None = None,
    queue_unacked: Reading | int | None = None,
    queue_total: Reading | int | None = None,
    workers: tuple[WorkerView, ...] | None = (),
    policy: ScalingPolicy | None = None,
    oldest: float | None = None,
    quiet_seconds: float = 0,
    generations: dict[int, int] | None = None,
    failed_starts: int = 0,
    since_failed: float | None = None,
    job_seconds: float | None = None,
    farm: FarmPlaces | None = None,
    suiting: PoolSuiting | None = None,
    start_seconds: float | None = None,
) -> PoolObserved:
    """An observation in which the broker agrees with the producer, unless told otherwise."""

    def reading(value: Reading | int | None, fallback: Reading) -> Reading:
        return fallback if value is None else known(value) if isinstance(value, int) else value

    jobs, held = reading(ready, known(0)), reading(leases, known(0))
    return PoolObserved(
        pool="linux",
        policy=policy or ScalingPolicy(max_workers=8),
        ready=jobs,
        leases=held,
        oldest_wait_seconds=oldest,
        queue_ready=reading(queue_ready, jobs),
        queue_unacked=reading(queue_unacked, held),
        queue_total=reading(queue_total, known((jobs.value or 0) + (held.value or 0))),
        workers=workers,
        workers_cause="" if workers is not None else "The folder is gone.",
        quiet_seconds=quiet_seconds,
        generations=generations or {},
        failed_starts=failed_starts,
        seconds_since_failed_start=since_failed,
        job_seconds=job_seconds,
        farm=farm,
        suiting=suiting,
        learned_start=None if start_seconds is None else LearnedStart(seconds=start_seconds, workers=3),
    )


def suits(
    ready_for_idle: int = 0, idle: int = 0, idle_for_ready: int = 0, *, held: int = 0, on_trial: int = 0, tried: int = 0
) -> PoolSuiting:
    """Who suits which jobs, by numbers."""
    return PoolSuiting(
        ready_for_idle=ready_for_idle,
        idle=idle,
        idle_for_ready=idle_for_ready,
        held=held,
        on_trial=on_trial,
        tried=tried,
    )


def shared(most: int, held: int, wanted: int = 0, *, starving: bool = False) -> FarmPlaces:
    """A farm in which one other pool, docker, holds so many of the places."""
    other = PoolPlaces(name="docker", held=held, wanted=wanted, starving=starving)
    return FarmPlaces(max_workers=most, others=(other,))
