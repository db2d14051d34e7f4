"""Dead letters: builds that the farm failed, kept for a person to requeue or to drop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from buildyard.contracts.builds import BatchFound, BuildState, ReasonCode, UploadSource
from buildyard.errors import Conflict
from orchestrator.domain.records import Build, DeadLetter, EventDraft, Step

DEAD_CODES = frozenset(
    {
        ReasonCode.WORKER_LOST,
        ReasonCode.WORKER_ERROR,
        ReasonCode.DISK_FULL,
        ReasonCode.SOURCE_UNAVAILABLE,
        ReasonCode.NO_AGENT,
        ReasonCode.QUEUED_TOO_LONG,
        ReasonCode.UPLOAD_GONE,
        ReasonCode.UNSCANNABLE,
    }
)
"""Causes that lie with the farm, or with what the build did to its worker, rather than with the sources."""
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SAID: Mapping[str, str] = MappingProxyType({"requeued": "requeued as build {}", "dropped": "dropped"})


def is_dead(state: BuildState, code: ReasonCode) -> bool:
    """Whether a build that ends so is a dead letter."""
    return code in DEAD_CODES and state in {BuildState.FAILED, BuildState.TIMED_OUT, BuildState.REJECTED}


def again(old: Build, new_id: str, requester: str, now: datetime, *, failed_only: bool | None = None) -> Build:
    """The same request once more, as a new build that names the old one.

    `failed_only` true wants only what failed of it, false all of it anew, None what can be had.

    Raises:
        Conflict: the old one has not ended, or its upload was infected or is kept no more; (code `no_failed_part`)
            nothing of it can be taken over, though that is wanted.
    """
    if not old.state.terminal:
        raise Conflict(
            f"The build has not ended: it is {old.state.value}.", remedy="Wait for its end, or cancel it first."
        )
    if old.reason_code is ReasonCode.INFECTED:
        raise Conflict("The build's upload was infected and is gone.", remedy="Upload clean sources.")
    if old.source_gone:
        raise upload_gone()
    if failed_only and (why := _why_nothing_is_kept(old)):
        error = Conflict(why, remedy="Retry without `failedOnly`: then all of it is built again.")
        error.code = "no_failed_part"
        raise error
    return Build(
        id=new_id,
        project=old.project,
        pool=old.pool,
        strategy=old.strategy,
        strategy_used=old.strategy_used,
        priority=old.priority,
        force_clean=old.force_clean,
        properties=old.properties,
        source=old.source,
        requester=requester,
        created_at=now,
        retry_of=old.id,
        carries=failed_only is not False,
        warnings=old.warnings,
    )


def upload_gone() -> Conflict:
    """The error for a build that cannot be built again since its upload is gone."""
    error = Conflict("The build's upload is kept no more.", remedy="Upload the sources again, as a new build.")
    error.code = "upload_gone"
    return error


def requeue(old: Build, letter: DeadLetter | None, new: Build) -> Step:
    """Note on an ended build that another takes its place; its dead letter, if it waits for a person, is settled.

    The new build's requester and time of creation are who settles it, and when.
    """
    settled = None
    if letter is not None and letter.resolution is None:
        settled = replace(
            letter, resolution="requeued", resolved_at=new.created_at, resolved_by=new.requester, requeued_as=new.id
        )
    return Step(old, dead=settled, events=(EventDraft("build_requeued", {"as": new.id, "by": new.requester}),))


def drop(build: Build, letter: DeadLetter | None, reason: str, requester: str, now: datetime) -> Step:
    """Settle a dead letter without another try.

    Raises:
        Conflict: the build is none, or it is settled.
    """
    waiting = waiting_letter(letter)
    settled = replace(waiting, resolution="dropped", resolved_at=now, resolved_by=requester, note=reason)
    return Step(build, dead=settled, events=(EventDraft("build_dropped", {"reason": reason, "by": requester}),))


def waiting_letter(letter: DeadLetter | None) -> DeadLetter:
    """A letter that waits for a person.

    Raises:
        Conflict: there is none, or it is settled.
    """
    if letter is None:
        raise Conflict(
            "The build is no dead letter.", remedy="`POST /api/v1/builds/{id}/retry` builds any build again."
        )
    if letter.resolution is not None:
        how = _SAID[letter.resolution].format(letter.requeued_as)
        raise Conflict(f"The dead letter is settled: it was {how} by {letter.resolved_by}.")
    return letter


def carries_over(old: Build, new: Build, found: BatchFound) -> bool:
    """Whether the rows that succeeded in an earlier build of a batch stand for the new one too.

    They do when both read the same bytes and the earlier one left something undone. A branch may have moved on.
    """
    fixed = _is_fixed(new)
    same = old.source == new.source and old.properties == new.properties and old.rows_total == found.rows
    return fixed and same and old.state is not BuildState.SUCCEEDED


def _why_nothing_is_kept(old: Build) -> str:
    """Why no part of a build can stand for one that repeats it, in a sentence; empty where one can."""
    if old.state is BuildState.SUCCEEDED:
        return "The build succeeded: nothing of it failed."
    if old.rows_total is None:
        return "The build is no batch whose rows are known: it succeeds or fails as a whole."
    if not _is_fixed(old):
        return "The build was of a branch, which may have moved on: its rows may not be the same any more."
    return ""


def _is_fixed(build: Build) -> bool:
    """Whether the build's source holds the same bytes whenever it is fetched."""
    return isinstance(build.source, UploadSource) or _FULL_COMMIT.fullmatch(build.source.ref) is not None
