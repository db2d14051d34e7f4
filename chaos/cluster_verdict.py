"""What a run on a cluster proved about its workers: the promises, each with its breaches as sentences. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chaos.blow import Blow
from chaos.crowd import Crowd
from chaos.plan import Fault
from chaos.witness import Tick
from tests.cluster.audit import Ended

BACK_SECONDS = 2.0
"""After an outage of the API server the next decision comes within so long,"""
TAKEN_OVER_SECONDS = 5.0
"""and within so long after the leading scaler was killed."""
_BACK, _TAKEN_OVER = "API server back to next decision", "leader killed to next decision"
_HEARD_SECONDS = 4.0
"""So long after the broker went its last answer may still count, and a question to it may be under way."""
_API_AWAY = frozenset({Fault.STOP_API, Fault.HANG_API})
_OURS_TO_STRIKE = {"Forced": Fault.FORCE_DELETE, "PreemptionByScheduler": Fault.PREEMPT}
"""What the audit says of pods that a strike took, and the strike."""


@dataclass(frozen=True)
class ClusterSeen:
    """What was seen of a cluster in a run; `ended` is the audit, `alarms` the metric of cut leases."""

    cap: int
    crowd: Crowd
    ended: tuple[Ended, ...] = ()
    ticks: tuple[Tick, ...] = ()
    alarms: float = 0.0
    restarts: int = 0
    stayed: tuple[str, ...] = ()
    """Workers that had not left when all had been quiet for long."""
    blows: Sequence[Blow] = field(default=())


def promises(seen: ClusterSeen) -> dict[str, tuple[str, ...]]:
    """Breaches by promise; none of these depends on how quick the machine is."""
    kills = [one for one in seen.ended if one.kill]
    struck = {(blow.fault, blow.victim) for blow in seen.blows}
    by_strike = [one for one in kills if (_OURS_TO_STRIKE.get(one.cause), one.agent) in struck]
    ours = [one for one in kills if one not in by_strike and not one.voluntary]
    known = sum(one.how != "unknown" for one in kills)
    return {
        "more workers than the cap": (f"{seen.crowd.most} workers at once, {seen.cap} allowed.",)
        * (seen.crowd.most > seen.cap),
        "Jobs made twice": tuple(f"The Job {name} was made more than once." for name in seen.crowd.twice),
        "two workers in one slot": tuple(f"{one} and {other} ran at once." for one, other in seen.crowd.together),
        "Jobs deleted before their end": tuple(f"The Job {name} was deleted." for name in seen.crowd.removed),
        "busy workers killed by the farm": tuple(map(_told, ours)),
        "busy workers killed by voluntary disruption": tuple(_told(one) for one in kills if one.voluntary),
        "pods taken that the audit missed": tuple(_missed(seen)),
        "kills without an alarm": (f"The audit counts {known} kills, the metric {seen.alarms:g}.",)
        * (known > 0 and not seen.alarms),
        "drained while the broker was away": tuple(
            f"{', '.join(tick.drain)} was drained at {tick.at:%H:%M:%S}."
            for blow in _away(seen)
            for tick in seen.ticks
            if tick.drain and blow.began <= tick.at <= blow.ended
        ),
        "UNKNOWN not shown while the broker was away": tuple(
            sentence for blow in _away(seen) for sentence in _shown(blow, seen.ticks)
        ),
        "crashed without a strike": () if seen.blows else _crashed(seen),
        "workers that stayed": tuple(f"{name} had not left." for name in seen.stayed),
    }


def late(seen: ClusterSeen) -> dict[str, tuple[str, ...]]:
    """Breaches of promises about time, which a loaded machine may break."""
    found = seconds(seen)
    return {
        f"{cause}, later than {most:g} s": tuple(f"It took {value:.1f} s." for value in found[cause] if value > most)
        for cause, most in ((_BACK, BACK_SECONDS), (_TAKEN_OVER, TAKEN_OVER_SECONDS))
        if cause in found
    }


def seconds(seen: ClusterSeen) -> dict[str, tuple[float, ...]]:
    """Seconds from the end of an outage, or from a leader's death, to the next decision that knows the workers."""
    back = tuple(_until_decided(seen.ticks, blow) for blow in seen.blows if blow.fault in _API_AWAY)
    taken_over = tuple(_until_decided(seen.ticks, blow) for blow in seen.blows if blow.fault is Fault.KILL_LEADER)
    return {cause: values for cause, values in ((_BACK, back), (_TAKEN_OVER, taken_over)) if values}


def rows(seen: ClusterSeen) -> list[tuple[str, str]]:
    """Lines of the table beside the promises."""
    told = Counter(f"{one.cause}, {one.how}" for one in seen.ended)
    ended = ", ".join(f"{count} {words}" for words, count in sorted(told.items())) or "none"
    return [
        ("worker Jobs made", str(seen.crowd.made)),
        ("workers at once, at most", f"{seen.crowd.most} of {seen.cap}"),
        ("decisions seen", str(len(seen.ticks))),
        ("pods ended from outside (cause, what it cost)", ended),
        ("cut leases that the metric told", f"{seen.alarms:g}"),
    ]


def _away(seen: ClusterSeen) -> list[Blow]:
    return [blow for blow in seen.blows if blow.fault is Fault.REFUSE_BROKER]


def _shown(blow: Blow, ticks: Sequence[Tick]) -> list[str]:
    since = blow.began + timedelta(seconds=_HEARD_SECONDS)
    within = [tick for tick in ticks if since <= tick.at <= blow.ended]
    if not within:
        return [] if blow.ended <= since + timedelta(seconds=_HEARD_SECONDS) else ["Nothing was decided meanwhile."]
    return [
        f"At {tick.at:%H:%M:%S} the queue counted as known." for tick in within if "queue ready" not in tick.unknown
    ]


def _missed(seen: ClusterSeen) -> list[str]:
    causes = {(one.cause, one.agent) for one in seen.ended}
    return [
        f"{blow.victim} lost its pod ({blow.fault.value})."
        for blow in seen.blows
        for cause, fault in _OURS_TO_STRIKE.items()
        if blow.fault is fault and (cause, blow.victim) not in causes
    ]


def _crashed(seen: ClusterSeen) -> tuple[str, ...]:
    told = [f"{name} ended with exit code {code}." for name, code in seen.crowd.crashed.items()]
    return (*told, *((f"Parts of the farm ended {seen.restarts} times.",) * (seen.restarts > 0)))


def _until_decided(ticks: Sequence[Tick], blow: Blow) -> float:
    later = [tick.at for tick in ticks if tick.at >= blow.ended and tick.saw_workers]
    return (min(later) - blow.ended).total_seconds() if later else float("inf")


def _told(one: Ended) -> str:
    return f"{one.agent} ({one.pod}) was ended by {one.cause}: {one.how}, build {one.build_id or 'unknown'}."
