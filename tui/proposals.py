"""What an action would do, before it is confirmed: every target by name, and in words what becomes of it. Pure.

What a thing is not in a state for is left out and said so. The server has the last word all the same: between what is
shown and what is asked for, things change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tui.orders import Verb
from tui.state import Ref, Store
from tui.state.rows import BuildRow, Kind

MOST_TARGETS = 1_000
"""Of one action; whoever wants more has marked them by mistake."""
Reason = Literal["none", "optional", "required"]


class Target(NamedTuple):
    """A thing to act on, as a line that names it; `hidden` where the filter does not show it."""

    ref: Ref
    text: str
    hidden: bool = False


class LeftOut(NamedTuple):
    """A thing that was chosen and is not acted on, and why."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is about to be done."""

    verb: Verb
    title: str
    effect: str
    call: str
    """The request, once for each target."""
    targets: tuple[Target, ...]
    left_out: tuple[LeftOut, ...]
    reason: Reason = "none"
    priority: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One verb: what it acts on, what it is called, what it does and how it is asked for."""

    kind: Kind
    words: str
    noun: str
    effect: str
    call: str
    reason: Reason = "none"


_DEAD = "/api/v1/dead/ID"
_KINDS: Mapping[Verb, _Kind] = {
    "cancel": _Kind(
        "build",
        "Cancel",
        "build",
        "Each ends as Cancelled, and what runs of it is stopped. It cannot be taken back; a retry makes a new build.",
        "POST /api/v1/builds/ID/cancel",
    ),
    "retry": _Kind(
        "build",
        "Retry",
        "build",
        "Each is built again, as a new build of the same sources. Of a batch that did not succeed only the rows "
        "without a good result run. A dead letter is settled by it.",
        "POST /api/v1/builds/ID/retry",
    ),
    "retry_failed": _Kind(
        "build",
        "Retry the failed rows of",
        "batch build",
        "A new build of each runs only the rows that have no good result; the others keep theirs.",
        "POST /api/v1/builds/ID/retry with failedOnly",
    ),
    "reprioritise": _Kind(
        "build",
        "Give another priority to",
        "build",
        "From now on each goes before or after others as its new priority says. What an agent has in hand goes on.",
        "POST /api/v1/builds/ID/priority",
    ),
    "drain": _Kind(
        "agent",
        "Drain",
        "agent",
        "Each finishes what it has in hand, takes nothing more and leaves. No build is stopped. Where work waits, the "
        "scaler starts other agents.",
        "POST /api/v1/agents/NAME/drain",
        "optional",
    ),
    "undrain": _Kind(
        "agent",
        "Undrain",
        "agent",
        "Each takes work again when what it has in hand is done. One that is just leaving may still leave.",
        "POST /api/v1/agents/NAME/undrain",
    ),
    "pause": _Kind(
        "pool",
        "Pause",
        "pool",
        "Its agents finish what they have and get nothing more. New builds are accepted and wait.",
        "POST /api/v1/pools/NAME/pause",
        "optional",
    ),
    "resume": _Kind(
        "pool",
        "Resume",
        "pool",
        "Its agents get what waits.",
        "POST /api/v1/pools/NAME/resume",
        "optional",
    ),
    "requeue": _Kind(
        "dead",
        "Requeue",
        "dead letter",
        "Each becomes a new build of the same sources; of a batch only the rows without a good result run.",
        f"POST {_DEAD}/requeue",
    ),
    "drop": _Kind(
        "dead",
        "Drop",
        "dead letter",
        "Each is given up for good, with your reason for whoever asks later. The failed build itself and its log stay.",
        f"POST {_DEAD}/drop",
        "required",
    ),
}


def acts_on(verb: Verb) -> Kind:
    """What a verb acts on."""
    return _KINDS[verb].kind


def named(store: Store, ref: Ref) -> str:
    """A thing as one line: what it is called, how it is, and its whole id."""
    if ref.kind == "build" and (build := store.builds.get(ref.id)):
        return " · ".join(part for part in (build.project, build.status, build.id) if part)
    if ref.kind == "agent" and (agent := store.agents.get(ref.id)):
        works = f"works on {agent.build_id}" if agent.build_id else ""
        return " · ".join(part for part in (agent.name, agent.state, works) if part)
    if ref.kind == "pool" and (pool := store.pools.get(ref.id)) and pool.view:
        return f"{pool.name} · {pool.view.ready + pool.view.waiting} wait, {pool.view.leases} run"
    if ref.kind == "dead" and (letter := store.dead.get(ref.id)):
        return " · ".join(part for part in (letter.project_name, letter.reason, letter.execution_id) if part)
    return ref.id


def target_of(store: Store, verb: Verb, ref: Ref) -> Ref:
    """The thing that a verb acts on where a related one was chosen: a job's build, a build's dead letter."""
    kind = acts_on(verb)
    if kind == "build" and ref.kind == "job" and (job := store.jobs.get(ref.id)):
        return Ref("build", job.build_id)
    if {kind, ref.kind} == {"build", "dead"}:
        return Ref(kind, ref.id)
    return ref


def proposal(
    store: Store, verb: Verb, chosen: Sequence[Ref], hidden: Collection[Ref] = (), *, priority: str = ""
) -> Proposal:
    """What a verb would do to the things chosen.

    Args:
        store: what is known now.
        verb: what is asked for.
        chosen: the thing under the cursor, or all that is marked.
        hidden: those of them that the filter does not show.
        priority: the new one, for `reprioritise`.
    """
    targets: list[Target] = []
    left_out: list[LeftOut] = []
    for ref in dict.fromkeys(chosen):
        thing = target_of(store, verb, ref)
        why = _why_not(store, verb, thing, priority)
        if not why and len(targets) >= MOST_TARGETS:
            why = f"more than {MOST_TARGETS:,} are not done at once"
        if why:
            left_out.append(LeftOut(named(store, thing), why))
        else:
            targets.append(Target(thing, named(store, thing), ref in hidden))
    of = _KINDS[verb]
    count = len(targets)
    noun = of.noun if count == 1 else f"{of.noun}s"
    words = f"Give the priority {priority} to" if priority else of.words
    title = f"{words} {f'{count:,}' if count != 1 else 'one'} {noun}"
    return Proposal(verb, title, of.effect, of.call, tuple(targets), tuple(left_out), of.reason, priority)


def intake_verb(store: Store, chosen: Sequence[Ref]) -> Verb:
    """Pausing, unless all pools chosen are paused already."""
    views = [pool.view for ref in chosen if (pool := store.pools.get(ref.id)) is not None]
    return "resume" if views and all(view is not None and view.intake.paused for view in views) else "pause"


# ---------------------------------------------------------------- why a thing is left out


def _why_not(store: Store, verb: Verb, ref: Ref, priority: str) -> str:
    if ref.kind != acts_on(verb):
        return f"it is no {_KINDS[verb].noun}"
    if ref.kind == "build":
        build = store.builds.get(ref.id)
        return _OF_BUILDS[verb](build, priority) if build else "it is not known any more"
    if ref.kind == "agent":
        return _why_not_drained(store, ref.id) if verb == "drain" else _why_not_undrained(store, ref.id)
    if ref.kind == "pool":
        return _why_not_set(store, ref.id, paused=verb == "pause")
    return "" if ref.id in store.dead else "it is no dead letter that waits for a person"


def _why_not_set(store: Store, name: str, *, paused: bool) -> str:
    pool = store.pools.get(name)
    if pool is None or pool.view is None:
        return "the producer has not told of it"
    if pool.view.intake.paused is paused:
        return "it is paused already" if paused else "it is not paused"
    return ""


def _why_not_drained(store: Store, name: str) -> str:
    agent = store.agents.get(name)
    if agent is None or not agent.present:
        return "it is not there any more"
    if agent.view is None:
        return "it has not joined yet"
    return "it drains already" if agent.state == "Draining" else ""


def _why_not_undrained(store: Store, name: str) -> str:
    agent = store.agents.get(name)
    if agent is None or not agent.present:
        return "it is not there any more"
    return "" if agent.state == "Draining" else "it does not drain"


def _not_cancelled(build: BuildRow, _: str) -> str:
    if build.ended:
        return f"it has ended: {build.status}"
    return "it is being cancelled already" if build.status == "Cancelling" else ""


def _not_retried(build: BuildRow, _: str) -> str:
    return "" if build.ended else "it has not ended"


def _no_failed_rows(build: BuildRow, _: str) -> str:
    if build.rows is None:
        return "it is no batch: retry builds it again"
    if not build.ended:
        return "it has not ended"
    return "" if build.rows.succeeded < build.rows.total else "all of its rows have a good result"


def _not_reprioritised(build: BuildRow, priority: str) -> str:
    if build.ended:
        return f"it has ended: {build.status}"
    return f"it has that priority: {build.priority}" if priority and build.priority == priority else ""


_OF_BUILDS: Mapping[str, Callable[[BuildRow, str], str]] = {
    "cancel": _not_cancelled,
    "retry": _not_retried,
    "retry_failed": _no_failed_rows,
    "reprioritise": _not_reprioritised,
}
