"""What would be decided with other values: now, and over the last ticks, by the very same `decide`; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildyard.contracts.scaling import (
    Decision,
    FarmPlaces,
    PoolObserved,
    Reading,
    ScalingPolicy,
    Trust,
    WhatIf,
    WhatIfAnswer,
    WhatIfTick,
    WorkerState,
    WorkerView,
)
from scaler.decide import decide, worker_name

MOST_DIFFERENCES = 100
_OF_POLICY = tuple(name for name in ScalingPolicy.model_fields if name != "name")
_OF_READINGS = ("oldest_wait_seconds", "quiet_seconds", "job_seconds")
_CREW = (WorkerState.PENDING, WorkerState.IDLE, WorkerState.BUSY)


def what_if(question: WhatIf, newest: Decision, past: Sequence[Decision]) -> WhatIfAnswer:
    """Answer a question.

    Args:
        question: the changed values.
        newest: the pool's newest decision; what would be done now is decided on what it saw.
        past: the pool's last decisions, newest first, to be decided again by the changed policy.
    """
    policy = changed_policy(question, newest.observed.policy)
    observed = changed_readings(question, _bounded(question, newest.observed.model_copy(update={"policy": policy})))
    differences: list[WhatIfTick] = []
    ticks = changed = started = started_instead = 0
    for decision in past:
        if ticks >= question.ticks:
            break
        weight = 1 + decision.repeats
        instead = decide(_bounded(question, decision.observed.model_copy(update={"policy": policy})))
        ticks += weight
        started += len(decision.plan.start) * weight
        started_instead += len(instead.start) * weight
        if (instead.start, instead.drain) != (decision.plan.start, decision.plan.drain):
            changed += weight
            differences.append(
                WhatIfTick(number=decision.number, at=decision.at, actual=decision.plan, instead=instead)
            )
    instead = decide(observed)
    return WhatIfAnswer(
        pool=question.pool,
        policy=policy,
        observed=observed,
        number=newest.number,
        actual=newest.plan,
        instead=instead,
        ticks=ticks,
        changed=changed,
        started=started,
        started_instead=started_instead,
        differences=tuple(differences[:MOST_DIFFERENCES]),
        sentences=(
            f"It would now be decided: {instead.reason}",
            f"It was decided: {newest.plan.reason}",
            f"Of the last {ticks} ticks, each decided on what was seen then, {changed} would have come out otherwise.",
        ),
    )


def changed_policy(question: WhatIf, policy: ScalingPolicy) -> ScalingPolicy:
    """The policy with the values that the question gives."""
    given = {name: getattr(question, name) for name in _OF_POLICY if getattr(question, name) is not None}
    return policy.model_copy(update={**given, **({"name": question.policy} if question.policy else {})})


def changed_readings(question: WhatIf, observed: PoolObserved) -> PoolObserved:
    """What would be seen: given counts are trusted, and the broker's agree with them."""
    update: dict[str, object] = {
        name: getattr(question, name) for name in _OF_READINGS if getattr(question, name) is not None
    }
    if question.ready is not None or question.leases is not None:
        ready = observed.ready if question.ready is None else _given(question.ready)
        leases = observed.leases if question.leases is None else _given(question.leases)
        update |= {"ready": ready, "leases": leases, "queue_ready": ready, "queue_unacked": leases}
        known = ready.value is not None and leases.value is not None
        update["suiting"] = None  # who suits the jobs that are asked about, nobody knows
        update["queue_total"] = _given((ready.value or 0) + (leases.value or 0)) if known else Reading(source="what if")
    crew = {state: getattr(question, state.value) for state in _CREW}
    if any(number is not None for number in crew.values()):
        workers = _crew(observed.pool, crew, observed.generations)
        update |= {"workers": workers, "workers_cause": "", "suiting": None}
    return observed.model_copy(update=update)


def _bounded(question: WhatIf, observed: PoolObserved) -> PoolObserved:
    """What would be seen if all pools together might have another number of workers."""
    if question.farm_max_workers is None:
        return observed
    farm = (observed.farm or FarmPlaces(max_workers=0)).model_copy(update={"max_workers": question.farm_max_workers})
    return observed.model_copy(update={"farm": farm})


def _given(value: int) -> Reading:
    return Reading(value=value, source="what if", trust=Trust.TRUSTED)


def _crew(
    pool: str, numbers: Mapping[WorkerState, int | None], generations: Mapping[int, int]
) -> tuple[WorkerView, ...]:
    """So many workers in each state, in the lowest slots."""
    states = [state for state, number in numbers.items() for _ in range(number or 0)]
    return tuple(
        WorkerView(
            name=worker_name(pool, slot, max(generations.get(slot, 1), 1)),
            slot=slot,
            generation=max(generations.get(slot, 1), 1),
            state=state,
        )
        for slot, state in enumerate(states, start=1)
    )
