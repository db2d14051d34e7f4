"""Why a pool has the workers it has, and why a build waits: the record as sentences with numbers; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from buildyard.contracts.api import BuildStatus, PoolView
from buildyard.contracts.builds import BuildState
from buildyard.contracts.scaling import (
    Decision,
    DecisionCode,
    PendingCode,
    PoolObserved,
    Reading,
    Trust,
    Why,
    WorkerState,
)
from scaler.reasons import MEANINGS

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_PRESENT = tuple(state for state in WorkerState if state is not WorkerState.EXITED)
_COUNTS = {
    "ready": "ready jobs",
    "leases": "running jobs",
    "queue_ready": "tickets ready",
    "queue_unacked": "tickets unacknowledged",
    "queue_total": "tickets in total",
}

_AWAITED = {
    PendingCode.IMAGE_PULL: "for its image",
    PendingCode.NO_NODE: "for a machine with room",
    PendingCode.QUOTA: "for its quota",
    PendingCode.BAD_SPEC: "in vain, as it is described wrongly",
    PendingCode.VOLUME: "for its volume",
    PendingCode.STARTING: "for its start",
    PendingCode.HOST_UNREACHABLE: "for its host",
}
_WAITS = {WorkerState.PENDING: "waits", WorkerState.EXITED: "never began to run; it waited"}


def why_workers(pool: str, decisions: Sequence[Decision], view: PoolView | None, now: datetime) -> Why:
    """Why there are so many workers, and why none starts or leaves now.

    Args:
        pool: its name.
        decisions: the pool's newest one and then those before it that were news, newest first.
        view: the pool as the producer last counted it, if it did.
        now: what "ago" counts from.
    """
    if not decisions:
        sentence = f"Nothing has been decided about the pool {pool} yet: its first look comes within seconds."
        return Why(about=f"pool {pool}", pool=pool, sentences=(sentence,))
    newest = decisions[0]
    sentences = [
        _who_is_there(newest.observed),
        *_of_the_farm(newest.observed),
        *_who_waits(newest.observed),
        *_how_they_came(decisions, now),
        *_what_is_done_now(decisions, now),
        *_in_numbers(newest),
        *_paused(view),
        *_doubts(newest.observed),
        *newest.failures,
        *_what_follows(newest),
    ]
    about = f"pool {pool}"
    return Why(about=about, pool=pool, code=newest.plan.code, number=newest.number, sentences=tuple(sentences))


def why_build(build: BuildStatus, decisions: Sequence[Decision], view: PoolView | None, now: datetime) -> Why:
    """Why a build waits, runs or has ended; for one that waits, also what its pool is about."""
    state, pool = BuildState(build.status), build.target_pool
    about = f"build {build.execution_id}"
    if state.terminal:
        after = f" after {_span(build.duration)}" if build.duration is not None else ""
        reason = f" {build.reason}" if build.reason else ""
        return Why(about=about, pool=pool, sentences=(f"It does not wait: it ended as {build.status}{after}.{reason}",))
    if state in {BuildState.RUNNING, BuildState.CANCELLING}:
        return Why(about=about, pool=pool, sentences=tuple(_running(build, now)))
    waited = _span((now - build.created_at).total_seconds())
    if state is BuildState.RECEIVED:
        sentence = f"It came {waited} ago and is not queued yet: its upload is looked at first."
        return Why(about=about, pool=pool, sentences=(sentence, *_said(build)))
    queue = why_workers(pool, decisions, view, now)
    sentences = (_place(build, view, waited), *_attempts(build), *_said(build), *queue.sentences)
    return Why(about=about, pool=pool, code=queue.code, number=queue.number, sentences=sentences)


# ------------------------------------------------------------------------------------------------ a pool


def _who_is_there(seen: PoolObserved) -> str:
    work = f"{_number(seen.ready, 'job waits', 'jobs wait')} and {_number(seen.leases, 'runs', 'run')}"
    if seen.oldest_wait_seconds is not None and seen.ready.value:
        work = work.replace(" and", f", the oldest for {_span(seen.oldest_wait_seconds)}, and", 1)
    if seen.workers is None:
        cause = f": {seen.workers_cause}" if seen.workers_cause else "."
        return f"How many workers the pool {seen.pool} has is not known{cause} {work[:1].upper()}{work[1:]}."
    states = Counter(worker.state for worker in seen.workers)
    present = sum(states[state] for state in _PRESENT)
    parts = ", ".join(f"{states[state]} {state.value}" for state in _PRESENT if states[state])
    workers = f"{_counted(present, 'worker')} of at most {seen.policy.max_workers}"
    return f"The pool {seen.pool} has {workers}{f' ({parts})' if parts else ''}; {work}."


def _of_the_farm(seen: PoolObserved) -> Iterator[str]:
    """What the pools hold together, where they share a maximum."""
    if seen.farm is None or seen.workers is None:
        return
    present = sum(worker.state is not WorkerState.EXITED for worker in seen.workers)
    others = (
        ", ".join(f"{other.name} {other.held}{'' if other.seen else ', not seen yet'}" for other in seen.farm.others)
        or "there is none"
    )
    together = present + sum(other.held for other in seen.farm.others)
    yield f"All pools together hold {together} of at most {seen.farm.max_workers} places (the other pools: {others})."


def _who_waits(seen: PoolObserved) -> Iterator[str]:
    """Workers that their platform has not begun to run, or never began to; those of one reason in one sentence."""
    found: dict[tuple[WorkerState, str], list[str]] = {}
    for worker in seen.workers or ():
        if worker.pending_code and worker.state in _WAITS:
            about = f"{_AWAITED[worker.pending_code]}: {worker.pending_reason.rstrip('.') or 'no reason was given'}."
            found.setdefault((worker.state, about), []).append(worker.name)
    for (state, about), names in found.items():
        more = f" (and {len(names) - 1} more like it)" if len(names) > 1 else ""
        yield f"Worker {names[0]}{more} {_WAITS[state]} {about}"


def _how_they_came(decisions: Sequence[Decision], now: datetime) -> Iterator[str]:
    """When workers were last started, and last asked to leave, as far as the record was looked through."""
    for verb, of in (("started", "start"), ("asked to leave", "drain")):
        found = next((one for one in decisions if getattr(one.plan, of)), None)
        if found is not None and found is not decisions[0]:
            number = _counted(len(getattr(found.plan, of)), "worker")
            were = "was" if number.startswith("1 ") else "were"
            ago = _span((now - found.at).total_seconds())
            yield f"{number} {were} last {verb} {ago} ago ({_name(found)}): {found.plan.reason}"


def _what_is_done_now(decisions: Sequence[Decision], now: datetime) -> Iterator[str]:
    newest = decisions[0]
    plan, ago = newest.plan, _span((now - (newest.until or newest.at)).total_seconds())
    done = [f"{_counted(len(plan.start), 'worker')} started"] * bool(plan.start)
    done += [f"{_counted(len(plan.drain), 'worker')} asked to leave"] * bool(plan.drain)
    what = " and ".join(done) if done else "nothing was started and nobody asked to leave"
    yield f"At the last look, {ago} ago ({_name(newest)}), {what}: {plan.reason}"
    same = next((place for place, one in enumerate(decisions) if one.plan.code is not plan.code), len(decisions))
    if same > 1 and not done:
        least = "at least " if same == len(decisions) else ""
        yield f"It has been so for {least}{_span((now - decisions[same - 1].at).total_seconds())}."


def _in_numbers(newest: Decision) -> Iterator[str]:
    if newest.plan.formula:
        yield f"In numbers ({newest.observed.policy.name}): {newest.plan.formula}."
    if newest.plan.clamps:
        yield f"Bounded by {'; '.join(newest.plan.clamps)}."


def _paused(view: PoolView | None) -> Iterator[str]:
    if view is not None and view.intake.paused:
        why = f": {view.intake.reason}" if view.intake.reason else ""
        waiting = _counted(view.waiting, "job")
        yield f"The pool is paused by {view.intake.by}{why}; {waiting} in it count as waiting, and start nobody."
    for why in view.unserved if view is not None else ():
        yield f"{why} Jobs that need it count as waiting."


def _doubts(seen: PoolObserved) -> Iterator[str]:
    """Counts that are not trusted, each cause once."""
    causes: dict[tuple[str, Trust], list[str]] = {}
    for field, name in _COUNTS.items():
        reading: Reading = getattr(seen, field)
        if reading.trust is not Trust.TRUSTED:
            causes.setdefault((reading.cause or "No cause was given.", reading.trust), []).append(name)
    for (cause, trust), names in causes.items():
        yield f"Not trusted ({trust.value}): {', '.join(names)}. {cause}"


def _what_follows(newest: Decision) -> Iterator[str]:
    """What happens next by itself, or what a person can do."""
    seen = newest.observed
    if newest.plan.code is DecisionCode.IDLE_WAIT:
        left = max(0.0, seen.policy.idle_seconds - seen.quiet_seconds)
        yield f"Idle workers are asked to leave in {_span(left)} if all stays quiet."
        return
    yield MEANINGS[newest.plan.code].then


# ------------------------------------------------------------------------------------------------ a build


def _place(build: BuildStatus, view: PoolView | None, waited: str) -> str:
    place = f" at place {build.queue_position}" if build.queue_position is not None else ""
    beside = f"; {view.ready} jobs are ready there and {view.leases} run" if view is not None else ""
    return f"It has waited {waited} in the pool {build.target_pool}{place}, priority {build.priority}{beside}."


def _running(build: BuildStatus, now: datetime) -> Iterator[str]:
    where = f" on {build.agent.name} ({build.agent.hostname})" if build.agent else ""
    since = f" for {_span((now - build.start_time).total_seconds())}" if build.start_time else ""
    stage = f", in the stage {build.current_stage}" if build.current_stage else ""
    yield f"It does not wait: it is {build.status.lower()}{where}{since}{stage}."
    yield from _attempts(build)
    yield from _said(build)


def _attempts(build: BuildStatus) -> Iterator[str]:
    ended = [attempt for attempt in build.attempts if attempt.ended_at is not None]
    if ended:
        last = ended[-1]
        outcome = f"{_counted(len(ended), 'attempt')} of it ended; the last as {last.outcome}"
        yield f"{outcome}: {last.reason}" if last.reason else f"{outcome}."


def _said(build: BuildStatus) -> Iterator[str]:
    if build.reason:
        yield build.reason
    yield from build.warnings


# ------------------------------------------------------------------------------------------------ words


def _name(decision: Decision) -> str:
    return f"decision {decision.number}, {decision.plan.code.value}"


def _number(reading: Reading, one: str, many: str) -> str:
    if reading.value is None:
        return f"an unknown number of {many}"
    trust = "" if reading.trust is Trust.TRUSTED else f" ({reading.trust.value})"
    return f"{reading.value} {one if reading.value == 1 else many}{trust}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _span(seconds: float) -> str:
    """Seconds in words: `4.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    seconds = max(0.0, seconds)
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    if seconds < _DAY:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"
