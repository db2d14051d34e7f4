"""Why a build waits, in one or two sentences: from the pool, its agents, and the scaler's last decision. Pure."""

from __future__ import annotations

from tui.format import count
from tui.safe_text import plain
from tui.state import Store
from tui.state.rows import BuildRow, PoolRow

_PRESENT = ("idle", "busy", "draining")
_SENT_ON = {"Lost", "HandedBack"}
"""How attempts end after which the job goes to another agent."""


def why_it_waits(store: Store, build: BuildRow) -> str:
    """What a build that is not worked on waits for; "" for one that is worked on or has ended.

    The nearest cause comes first, so that a narrow column shows it.
    """
    if build.status == "Received":
        return "It is received, and not queued yet."
    if build.status == "Queued":
        return _queued(store.pools.get(build.pool), build)
    return _between_attempts(store, build) if build.status == "Running" else ""


def present_agents(pool: PoolRow) -> dict[str, int] | None:
    """How many agents of a pool are idle, busy and draining; None while nobody has told."""
    if pool.view is None:
        return None
    told = {state.lower(): number for state, number in pool.view.agents.items()}
    return {state: told.get(state, 0) for state in _PRESENT}


def _queued(pool: PoolRow | None, build: BuildRow) -> str:
    if not build.pool:
        return "Its pool is not known yet."
    name = plain(build.pool)
    if pool is None or pool.view is None:
        return f"Nothing is known of its pool {name}: the producer has not told of it."
    said = [_cause(name, pool), _place(build)]
    if pool.decision is not None:
        said.append(f"The scaler: {plain(pool.decision.reason)}")
    return " ".join(one for one in said if one)


def _cause(name: str, pool: PoolRow) -> str:
    intake = pool.view.intake if pool.view else None
    if intake is not None and intake.paused:
        why = f": {plain(intake.reason).removesuffix('.')}" if intake.reason else ""
        by = f" ({plain(intake.by)})" if intake.by else ""
        return f"Pool {name} is paused{by}{why}."
    agents = present_agents(pool) or {}
    present = sum(agents.values())
    if not present:
        return f"No agent in pool {name}."
    if agents["idle"]:
        return f"{agents['idle']} of {present} agents idle in pool {name}: one takes it soon."
    return f"All {present} agents busy in pool {name}." if present > 1 else f"The one agent of pool {name} is busy."


def _place(build: BuildRow) -> str:
    ahead = build.queue_position
    if ahead is None:
        return ""
    return f"{count(ahead)} {'job is' if ahead == 1 else 'jobs are'} ahead of it." if ahead else "It is the next."


def _between_attempts(store: Store, build: BuildRow) -> str:
    """A running build none of whose jobs is in the hands of an agent: what ended, and what it waits for."""
    jobs = store.jobs_of(build.id)
    if not jobs or any(job.state not in {*_SENT_ON, "Ready", "Waiting"} for job in jobs):
        return ""
    last = next((job for job in reversed(jobs) if job.state in _SENT_ON), None)
    if last is None:
        return "Its next jobs wait for an agent."
    reason = f": {plain(last.reason).removesuffix('.')}" if last.reason else ""
    word = "lost" if last.state == "Lost" else "handed back"
    return f"Attempt {last.attempt} was {word}{reason}. It waits for another agent."
