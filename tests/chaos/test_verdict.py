"""The judge of the soak sees every kind of broken promise, and none where all were kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from buildyard.contracts.api import ArtifactView, AttemptView, BuildStatus
from buildyard.contracts.builds import RowResult
from chaos.blow import Blow
from chaos.plan import MAX_ATTEMPTS, Fault, Order, Work
from chaos.projects import LOG_LINES, ROWS
from chaos.verdict import Entry, Observed, Seen, judge

START = datetime(2026, 1, 1, tzinfo=UTC)
BUILD, BATCH, POISON, JOB, OTHER, KILLER, FILE = (
    f"0193f0a0-0000-7000-8000-00000000000{number}" for number in range(1, 8)
)
QUICK, OF_ROWS, DEADLY = (
    Order(number, 0.0, work, None) for number, work in enumerate((Work.QUICK, Work.ROWS, Work.POISON), start=1)
)
COSTLY = (
    Fault.KILL_WORKER,
    Fault.TERM_WORKER,
    Fault.FREEZE_WORKER,
    Fault.KILL_ALL,
    Fault.PREEMPT,
    Fault.FORCE_DELETE,
)
ARTIFACT = ArtifactView(
    id=FILE,
    name="a",
    path="dist/a",
    size_bytes=1,
    content_type="text/plain",
    sha256_hash="0" * 64,
    created_at=START,
    download_url="/a",
)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def attempt(job: str, number: int, outcome: str, began: float) -> AttemptView:
    return AttemptView(
        job_id=job,
        number=number,
        agent=f"linux-{number}-1",
        started_at=at(began),
        ended_at=at(began + 5),
        outcome=outcome,
        reason_code=outcome.lower(),
        reason="So it was.",
    )


def status(build: str, *attempts: AttemptView) -> BuildStatus:
    """A build's status with the fields that the judge reads."""
    fields: dict[str, Any] = {
        "execution_id": build,
        "status": "Succeeded",
        "start_time": at(0),
        "end_time": at(90),
        "rows": None,
        "reason": "All stages succeeded.",
        "reason_code": "succeeded",
        "attempts": attempts,
    }
    return BuildStatus.model_construct(**fields)


def all_kept() -> Observed:
    """A build that lost its worker at a strike, a batch, and a build that killed all its workers."""
    quick = Seen(
        status(BUILD, attempt(JOB, 1, "Lost", 0), attempt(JOB, 2, "Succeeded", 10)),
        QUICK,
        artifacts=(ARTIFACT,),
        log=tuple(f"line {JOB}/2 {number}" for number in range(1, LOG_LINES + 1)),
    )
    rows = tuple(RowResult(row=number, ok=True) for number in range(1, ROWS + 1))
    batch = Seen(status(BATCH, attempt(OTHER, 1, "Succeeded", 0)), OF_ROWS, rows=rows)
    attempts = [attempt(KILLER, number, "Lost", 10.0 * number) for number in range(1, MAX_ATTEMPTS + 1)]
    given_up = {"status": "Failed", "reason_code": "worker_lost", "reason": "Its worker died."}
    poison = Seen(status(POISON, *attempts).model_copy(update=given_up), DEADLY)
    return Observed(
        accepted={BUILD: QUICK, BATCH: OF_ROWS, POISON: DEADLY},
        builds={BUILD: quick, BATCH: batch, POISON: poison},
        dead=frozenset({POISON}),
        ledger=(Entry(1, JOB, 1, "start"), Entry(1, JOB, 2, "start"), Entry(1, JOB, 2, "end")),
        blows=[Blow(Fault.KILL_WORKER, at(1), at(1), "linux-1-1")],
    )


def _changed(build: str = BUILD, **change: Any) -> Callable[[Observed], None]:
    def change_it(seen: Observed) -> None:
        one = seen.builds[build]
        seen.builds[build] = replace(one, status=one.status.model_copy(update=change))

    return change_it


def _seen(build: str, **change: Any) -> Callable[[Observed], None]:
    return lambda seen: seen.builds.update({build: replace(seen.builds[build], **change)})


def _set(**change: Any) -> Callable[[Observed], None]:
    return lambda seen: vars(seen).update(change)


LEDGER = all_kept().ledger
LOG = all_kept().builds[BUILD].log
RESULTS = all_kept().builds[BATCH].rows
KILLED = all_kept().builds[POISON].status.attempts
GIVEN_UP = "poison that went on, or nobody to look at it"
BREACHES: dict[str, tuple[Callable[[Observed], object], str]] = {
    "a build is gone": (lambda seen: seen.builds.pop(BATCH), "lost"),
    "a build has no end": (_changed(end_time=None), "stuck"),
    "no sentence says why": (_changed(reason=""), "without reason"),
    "a good build failed": (_changed(status="Failed", reason_code="command_failed"), "ended otherwise"),
    "nobody cancelled it": (_changed(status="Cancelled", reason_code="cancelled"), "ended otherwise"),
    "a row is missing": (_seen(BATCH, rows=RESULTS[1:]), "rows missing or doubled"),
    "a row is there twice": (_seen(BATCH, rows=(*RESULTS, RESULTS[0])), "rows missing or doubled"),
    "an artifact is there twice": (_seen(BUILD, artifacts=(ARTIFACT, ARTIFACT)), "artifacts doubled"),
    "a log line is missing": (_seen(BUILD, log=LOG[1:]), "log lines missing or doubled"),
    "a log line is there twice": (_seen(BUILD, log=(*LOG, LOG[0])), "log lines missing or doubled"),
    "nothing struck": (_set(blows=[]), "attempts without a fault"),
    "another worker was killed": (
        _set(blows=[Blow(Fault.KILL_WORKER, at(1), at(1), "linux-2-1")]),
        "attempts without a fault",
    ),
    "its worker was frozen and woke before": (
        _set(blows=[Blow(Fault.FREEZE_WORKER, at(-9), at(-1), "linux-1-1")]),
        "attempts without a fault",
    ),
    **{
        f"a strike that costs no attempt: {fault.value}": (
            _set(blows=[Blow(fault, at(1), at(3), "linux-1-1")]),
            "attempts without a fault",
        )
        for fault in Fault
        if fault not in COSTLY
    },
    "everything was killed just before": (
        _set(blows=[Blow(Fault.KILL_ALL, at(-2), at(-1))]),
        "attempts without a fault",
    ),
    "it struck long before": (_set(blows=[Blow(Fault.KILL_ALL, at(-90), at(-80))]), "attempts without a fault"),
    "it struck afterwards": (_set(blows=[Blow(Fault.KILL_ALL, at(6), at(7))]), "attempts without a fault"),
    "an attempt follows a failed one": (
        _changed(attempts=(attempt(JOB, 1, "Failed", 0), attempt(JOB, 2, "Succeeded", 10))),
        "attempts without a fault",
    ),
    "poison had one worker more": (
        _changed(POISON, attempts=(*KILLED, attempt(KILLER, MAX_ATTEMPTS + 1, "Lost", 90))),
        GIVEN_UP,
    ),
    "poison had one worker less": (_changed(POISON, attempts=KILLED[1:]), GIVEN_UP),
    "nobody is asked about poison": (_set(dead=frozenset()), GIVEN_UP),
    "a good build is a dead letter": (_set(dead=frozenset({POISON, BUILD})), GIVEN_UP),
    "poison did no harm": (_changed(POISON, reason_code="command_failed"), "ended otherwise"),
    "a command ran twice": (_set(ledger=(*LEDGER, LEDGER[0])), "commands doubled"),
    "an unlisted attempt ran": (_set(ledger=(*LEDGER, Entry(1, JOB, 9, "start"))), "commands nobody knows"),
    "the command never ended": (_set(ledger=LEDGER[:-1]), "work claimed, not done"),
    "a process is left": (_set(orphans=("sleep 1",)), "orphan processes"),
    "a message is dead": (_set(dead_messages=1), "reports nobody could record"),
    "a report waits": (_set(waiting={"reports": 1}), "channels not empty"),
    "the store is ill": (_set(unhealthy=("store: it is away",)), "not well afterwards"),
}


def _broken(seen: Observed) -> set[str]:
    return {promise for promise, breaches in judge(seen).broken.items() if breaches}


def test_where_every_promise_was_kept_nothing_is_broken() -> None:
    assert _broken(all_kept()) == set()
    assert judge(all_kept()).reruns == 1


@pytest.mark.parametrize("fault", COSTLY)
@pytest.mark.parametrize("outcome", ["Lost", "HandedBack"])
def test_a_strike_at_an_attempts_own_worker_or_at_all_of_them_explains_its_loss(fault: Fault, outcome: str) -> None:
    seen = all_kept()
    _changed(attempts=(attempt(JOB, 1, outcome, 0), attempt(JOB, 2, "Succeeded", 10)))(seen)
    seen.blows = [Blow(fault, at(1), at(3), "everything" if fault is Fault.KILL_ALL else "linux-1-1")]

    assert _broken(seen) == set()


def test_a_claim_may_be_granted_after_its_worker_was_killed() -> None:
    seen = all_kept()
    seen.blows = [Blow(Fault.KILL_WORKER, at(-8), at(-8), "linux-1-1")]

    assert _broken(seen) == set()


@pytest.mark.parametrize("breach", BREACHES)
def test_each_breach_is_seen_for_what_it_is(breach: str) -> None:
    seen = all_kept()
    do, promise = BREACHES[breach]

    do(seen)

    assert _broken(seen) == {promise}


def test_every_promise_can_be_broken() -> None:
    assert {promise for _, promise in BREACHES.values()} == set(judge(all_kept()).broken)
