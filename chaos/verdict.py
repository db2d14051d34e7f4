"""What a run proved: the promises checked against what the farm says and what the ledger says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from buildyard.contracts.api import ArtifactView, AttemptView, BuildStatus
from buildyard.contracts.builds import RowResult
from chaos.blow import Blow
from chaos.cluster_verdict import ClusterSeen, promises
from chaos.cluster_verdict import seconds as cluster_seconds
from chaos.plan import MAX_ATTEMPTS, Fault, Order, Work
from chaos.projects import EXPECTED, LOG_LINES, PROGRAM_ROWS, ROWS

_GOES_ON = frozenset({"Lost", "HandedBack"})
_ENDS_ITS_WORKER = frozenset({Fault.KILL_WORKER, Fault.TERM_WORKER, Fault.PREEMPT, Fault.FORCE_DELETE})
_HURTS_ITS_WORKER = _ENDS_ITS_WORKER | {Fault.FREEZE_WORKER}
"""Strikes that cost the attempt of the worker they hit, and of nobody else. Outages and what befalls producer, scaler
and servers must cost none."""
_CLAIM_ON_ITS_WAY = timedelta(seconds=30)
"""A claim that a worker sent before its end may be granted so much later, when producer or store stood still."""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    order: int
    job: str
    attempt: int
    what: str


@dataclass(frozen=True)
class Seen:
    """A build after the run, with what it handed back; `order` None when its order is unknown."""

    status: BuildStatus
    order: Order | None
    artifacts: tuple[ArtifactView, ...] = ()
    rows: tuple[RowResult, ...] = ()
    log: tuple[str, ...] = ()


@dataclass
class Observed:
    """Everything known after a run."""

    accepted: dict[str, Order] = field(default_factory=dict)
    unanswered: int = 0
    builds: dict[str, Seen] = field(default_factory=dict)
    ledger: tuple[Entry, ...] = ()
    blows: list[Blow] = field(default_factory=list)
    cancels: dict[str, datetime] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()
    refused: int = 0
    dead: frozenset[str] = frozenset()
    """The builds that are dead letters."""
    dead_messages: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    """What still lies in a channel, by its name, when everything has ended."""
    unhealthy: tuple[str, ...] = ()
    cluster: ClusterSeen | None = None
    """Where workers were Jobs."""


@dataclass(frozen=True)
class Verdict:
    """`broken` maps a promise to its breaches, each a sentence; `seconds` a cause to the times until its end."""

    broken: Mapping[str, tuple[str, ...]]
    seconds: Mapping[str, tuple[float, ...]]
    reruns: int


def judge(seen: Observed) -> Verdict:
    """Check all promises."""
    builds = list(seen.builds.values())
    by_build = _by_build(builds, seen.ledger)
    broken: dict[str, tuple[str, ...]] = {
        "lost": tuple(f"Build {build} was accepted and is unknown." for build in seen.accepted.keys() - seen.builds),
        "stuck": _each(builds, _stuck),
        "without reason": _each(builds, _without_reason),
        "ended otherwise": tuple(
            sentence for one in builds for sentence in _wrong_end(one, seen.cancels.get(one.status.execution_id))
        ),
        "rows missing or doubled": _each(builds, _wrong_rows),
        "artifacts doubled": _each(builds, _wrong_artifacts),
        "log lines missing or doubled": _each(builds, _wrong_log),
        "attempts without a fault": tuple(s for one in builds for s in _unexplained(one, seen.blows)),
        "poison that went on, or nobody to look at it": tuple(s for one in builds for s in _poison(one, seen.dead)),
        "commands doubled": _doubled(seen.ledger),
        "commands nobody knows": _strangers(builds, seen.ledger),
        "work claimed, not done": tuple(s for one in builds for s in _undone(one, by_build)),
        "orphan processes": seen.orphans,
        "reports nobody could record": (f"{seen.dead_messages} messages are dead.",) if seen.dead_messages else (),
        "channels not empty": tuple(
            f"{count} messages lie in {name}." for name, count in seen.waiting.items() if count
        ),
        "not well afterwards": seen.unhealthy,
    }
    if seen.cluster is None:
        return Verdict(broken, _times(builds, seen), _reruns(seen.ledger))
    times = {**_times(builds, seen), **cluster_seconds(seen.cluster)}
    return Verdict({**broken, **promises(seen.cluster)}, times, _reruns(seen.ledger))


def _each(builds: Iterable[Seen], check: Callable[[Seen], list[str]]) -> tuple[str, ...]:
    return tuple(sentence for one in builds for sentence in check(one))


def _terminal(status: BuildStatus) -> bool:
    return status.end_time is not None


def _name(one: Seen) -> str:
    kind = f"{one.order.work.value}, order {one.order.number}" if one.order else "order unknown"
    return f"Build {one.status.execution_id} ({kind})"


def _stuck(one: Seen) -> list[str]:
    status = one.status
    return [] if _terminal(status) else [f"{_name(one)} is {status.status}: {_attempts(one)}."]


def _without_reason(one: Seen) -> list[str]:
    status = one.status
    return (
        [f"{_name(one)} gives no reason."] if _terminal(status) and not (status.reason and status.reason_code) else []
    )


def _wrong_end(one: Seen, cancelled_at: datetime | None) -> list[str]:
    status = one.status
    if not _terminal(status) or one.order is None:
        return []
    allowed = [EXPECTED[one.order.work]]
    if cancelled_at is not None:
        allowed.append(("Cancelled", "cancelled"))
    if (status.status, status.reason_code) in allowed:
        return []
    return [f"{_name(one)} ended {status.status} ({status.reason_code}): {status.reason} {_attempts(one)}."]


def _wrong_rows(one: Seen) -> list[str]:
    counts = Counter(row.row for row in one.rows)
    doubled = sorted(row for row, count in counts.items() if count > 1)
    sentences = [f"{_name(one)} has rows {doubled} more than once."] if doubled else []
    known = {Work.ROWS: ROWS, Work.PROGRAM: PROGRAM_ROWS}
    expected = known.get(one.order.work, one.order.rows) if one.order else 0
    if one.status.status == "Succeeded" and set(counts) != set(range(1, expected + 1)):
        sentences.append(f"{_name(one)} succeeded with {len(counts)} of {expected} rows.")
    told = one.status.rows
    if told is not None and told.succeeded + told.failed != len(counts):
        sentences.append(f"{_name(one)} counts {told.succeeded} + {told.failed} rows and lists {len(counts)}.")
    return sentences


def _wrong_artifacts(one: Seen) -> list[str]:
    counts = Counter(artifact.path for artifact in one.artifacts)
    return [f"{_name(one)} has {path} {count} times." for path, count in counts.items() if count > 1]


def lacks_lines(one: Seen) -> bool:
    """Whether its log is not whole, or not yet: a fact about it may still be in a producer's hands."""
    return bool(_wrong_log(one))


def _wrong_log(one: Seen) -> list[str]:
    lines = Counter(line for line in one.log if line.startswith("line "))
    sentences = [f"{_name(one)} logs {line!r} {count} times." for line, count in lines.items() if count > 1]
    made = one.order is not None and one.order.work not in {Work.ROWS, Work.PROGRAM, Work.MESSAGES}
    if one.status.status == "Succeeded" and made:
        last = one.status.attempts[-1]
        wanted = {f"line {last.job_id}/{last.number} {number}" for number in range(1, LOG_LINES + 1)}
        if missing := wanted - set(lines):
            sentences.append(f"{_name(one)} lacks {len(missing)} lines of its last attempt's log.")
    return sentences


def _unexplained(one: Seen, blows: Sequence[Blow]) -> list[str]:
    """Attempts after one that ended by itself, or that were lost although nothing struck."""
    sentences = []
    attempts = sorted(one.status.attempts, key=lambda attempt: (attempt.job_id, attempt.number))
    for before, after in pairwise(attempts):
        if before.job_id == after.job_id and before.outcome not in _GOES_ON:
            sentences.append(f"{_name(one)}: attempt {after.number} follows one that ended {before.outcome}.")
    for attempt in attempts:
        if attempt.outcome not in _GOES_ON or attempt.ended_at is None or _killed_its_worker(one):
            continue
        if not any(_cost(blow, attempt, attempt.ended_at) for blow in blows):
            sentences.append(f"{_name(one)}: attempt {attempt.number} ended {attempt.outcome} without a fault.")
    return sentences


def _killed_its_worker(one: Seen) -> bool:
    return one.order is not None and one.order.work is Work.POISON


def _poison(one: Seen, dead: frozenset[str]) -> list[str]:
    """What kills each of its workers is given up after so many of them, and waits for a person; nothing else does."""
    status = one.status
    listed, should_be = status.execution_id in dead, _killed_its_worker(one) and status.status == "Failed"
    sentences = []
    if listed is not should_be:
        sentences.append(f"{_name(one)} ended {status.status} and is {'a' if listed else 'no'} dead letter.")
    lost = sum(attempt.outcome == "Lost" for attempt in status.attempts)
    if should_be and lost != MAX_ATTEMPTS:
        sentences.append(f"{_name(one)} was given up after {lost} of {MAX_ATTEMPTS} dead workers.")
    return sentences


def _cost(blow: Blow, attempt: AttemptView, ended_at: datetime) -> bool:
    """Whether a strike may be why an attempt went: it hit this worker, or all there were, while the attempt lasted."""
    if blow.fault is not Fault.KILL_ALL and (blow.fault not in _HURTS_ITS_WORKER or blow.victim != attempt.agent):
        return False
    later = _CLAIM_ON_ITS_WAY if blow.fault in _ENDS_ITS_WORKER else timedelta(0)
    return blow.began <= ended_at and attempt.started_at <= blow.ended + later


def _doubled(ledger: Sequence[Entry]) -> tuple[str, ...]:
    counts = Counter(ledger)
    return tuple(
        f"Order {entry.order}: {entry.what} ran {count} times in attempt {entry.attempt} of job {entry.job}."
        for entry, count in counts.items()
        if count > 1
    )


def _strangers(builds: Sequence[Seen], ledger: Sequence[Entry]) -> tuple[str, ...]:
    known = {(attempt.job_id, attempt.number) for one in builds for attempt in one.status.attempts}
    strange = {(entry.order, entry.job, entry.attempt) for entry in ledger if (entry.job, entry.attempt) not in known}
    return tuple(f"Order {order}: attempt {attempt} of job {job} ran, unlisted." for order, job, attempt in strange)


def _undone(one: Seen, ledger: Mapping[str, Counter[str]]) -> list[str]:
    """What a build that succeeded says it did must have been done, by the attempt that succeeded."""
    if one.status.status != "Succeeded" or one.order is None or one.order.work in {Work.ROWS, Work.MESSAGES}:
        return []
    did = ledger.get(one.status.execution_id, Counter())
    if one.order.work is Work.PROGRAM:
        missing = [row for row in range(1, PROGRAM_ROWS + 1) if not did[f"row-{row}"]]
        return [f"{_name(one)} never handled rows {missing}."] if missing else []
    last = one.status.attempts[-1]
    wanted = [f"start {last.number}", f"end {last.number}"]
    return [f"{_name(one)} succeeded without {what}." for what in wanted if not did[what]]


def _by_build(builds: Sequence[Seen], ledger: Sequence[Entry]) -> dict[str, Counter[str]]:
    home = {attempt.job_id: one.status.execution_id for one in builds for attempt in one.status.attempts}
    did: dict[str, Counter[str]] = {}
    for entry in ledger:
        words = entry.what if entry.what.startswith("row-") else f"{entry.what} {entry.attempt}"
        did.setdefault(home.get(entry.job, ""), Counter())[words] += 1
    return did


def _reruns(ledger: Sequence[Entry]) -> int:
    """Commands that ran in more than one attempt: each across a fault, or `attempts without a fault` says so."""
    tries = Counter((entry.order, entry.job, entry.what) for entry in set(ledger))
    return sum(count - 1 for count in tries.values())


def _attempts(one: Seen) -> str:
    words = [f"{attempt.number} {attempt.outcome or 'runs'}" for attempt in one.status.attempts]
    return f"attempts: {', '.join(words)}" if words else "no attempt"


def _times(builds: Sequence[Seen], seen: Observed) -> dict[str, tuple[float, ...]]:
    """Seconds from a cause to the end it brings about."""
    times: dict[str, list[float]] = {"cancel to end": [], "time limit to end": [], "worker killed to attempt ended": []}
    for one in builds:
        status = one.status
        asked = seen.cancels.get(status.execution_id)
        if asked is not None and status.status == "Cancelled" and status.end_time is not None:
            times["cancel to end"].append(max(0.0, (status.end_time - asked).total_seconds()))
        if status.status == "TimedOut" and status.start_time is not None and status.end_time is not None:
            allowed = timedelta(seconds=3)
            times["time limit to end"].append((status.end_time - status.start_time - allowed).total_seconds())
    kills = [blow for blow in seen.blows if blow.fault is Fault.KILL_WORKER]
    for blow in kills:
        ends = [
            attempt.ended_at
            for one in builds
            for attempt in one.status.attempts
            if attempt.agent == blow.victim and attempt.outcome == "Lost"
            if attempt.ended_at is not None and attempt.ended_at > blow.began
        ]
        times["worker killed to attempt ended"] += [(end - blow.began).total_seconds() for end in ends]
    return {cause: tuple(values) for cause, values in times.items() if values}
