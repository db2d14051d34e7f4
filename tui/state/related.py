"""From one thing to those that it hangs together with, in the order in which a reader asks for them."""

from __future__ import annotations

from collections.abc import Container, Iterator

from tui.state.events import log_of_agent, log_of_build
from tui.state.rows import Ref
from tui.state.store import Store


def related(store: Store, ref: Ref) -> tuple[Ref, ...]:
    """What a thing leads to, each once and only what is there; logs also where nothing was read of them yet.

    job -> agent -> its log -> its build -> the decision that started the agent.
    """
    finders = {
        "build": _of_build,
        "job": _of_job,
        "agent": _of_agent,
        "pool": _of_pool,
        "decision": _of_decision,
        "dead": _of_dead,
        "log": _of_log,
    }
    finder = finders.get(ref.kind)
    found = dict.fromkeys(finder(store, ref.id)) if finder else {}
    return tuple(one for one in found if one != ref and _is_there(store, one))


def _of_build(store: Store, build_id: str) -> Iterator[Ref]:
    row = store.builds.get(build_id)
    yield Ref("log", log_of_build(build_id))
    if row is None:
        return
    working = [agent.name for agent in store.agents.values() if agent.build_id == build_id]
    yield from (Ref("agent", name) for name in working)
    if row.agent:
        yield Ref("agent", row.agent)
    yield from (Ref("job", job.id) for job in store.jobs_of(build_id))
    yield Ref("pool", row.pool)
    yield Ref("dead", build_id)
    yield Ref("build", row.retry_of)
    for name in (*working, row.agent):
        yield from _starter(store, name)


def _of_job(store: Store, job_id: str) -> Iterator[Ref]:
    row = store.jobs.get(job_id)
    if row is not None:
        yield Ref("agent", row.agent)
        yield Ref("log", log_of_build(row.build_id))
        yield Ref("build", row.build_id)
        yield from _starter(store, row.agent)


def _of_agent(store: Store, name: str) -> Iterator[Ref]:
    row = store.agents.get(name)
    yield Ref("log", log_of_agent(name))
    if row is not None:
        yield Ref("job", row.job_id)
        yield Ref("build", row.build_id)
        yield from _starter(store, name)
        yield Ref("pool", row.pool)


def _of_pool(store: Store, name: str) -> Iterator[Ref]:
    row = store.pools.get(name)
    if row is not None and row.decision:
        yield Ref("decision", str(row.decision.number))
    yield from (Ref("agent", agent.name) for agent in store.agents.values() if agent.pool == name and agent.present)
    yield from (Ref("build", build.id) for build in store.builds.values() if build.pool == name and not build.ended)
    yield from (Ref("dead", key) for key, letter in store.dead.items() if letter.target_pool.lower() == name)


def _of_decision(store: Store, number: str) -> Iterator[Ref]:
    row = store.decisions.get(int(number)) if number.isascii() and number.isdigit() else None
    if row is not None:
        yield from (Ref("agent", name) for name in (*row.start, *row.drain))
        yield Ref("pool", row.pool)


def _of_dead(store: Store, build_id: str) -> Iterator[Ref]:
    letter = store.dead.get(build_id)
    yield Ref("build", build_id)
    yield Ref("log", log_of_build(build_id))
    if letter is not None:
        yield Ref("build", letter.requeued_as or "")
        yield Ref("pool", letter.target_pool.lower())


def _of_log(store: Store, stream: str) -> Iterator[Ref]:
    kind, _, name = stream.partition("/")
    if kind == "build":
        yield Ref("build", name)
        yield from _of_build(store, name)
    elif kind == "agent":
        yield Ref("agent", name)
        yield from _of_agent(store, name)


def _starter(store: Store, name: str) -> Iterator[Ref]:
    row = store.agents.get(name)
    if row is not None and row.started_by is not None:
        yield Ref("decision", str(row.started_by))


def _is_there(store: Store, ref: Ref) -> bool:
    if ref.kind == "log":
        return True
    if ref.kind == "decision":
        return int(ref.id) in store.decisions
    known: dict[str, Container[str]] = {
        "build": store.builds,
        "job": store.jobs,
        "agent": store.agents,
        "pool": store.pools,
        "dead": store.dead,
        "source": store.sources,
    }
    return ref.id in known[ref.kind]
