"""What is known of one agent, as lines of text. Pure; the texts are drawn through `tui.safe_text`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

from buildyard.contracts.api import WorkerInfo
from tui import format as shown
from tui.screens.agents_rows import (
    AgentLine,
    disk,
    heard_tone,
    load_text,
    load_tone,
    memory,
    room_tone,
    started_at,
)
from tui.state import Store
from tui.state.rows import AgentRow, BuildRow
from tui.widgets.facts import Fact, heading

_JOIN_SECONDS = 60


def agent_facts(store: Store, line: AgentLine, *, utf8: bool = True) -> list[Fact]:
    """State and its reason, what it works on, its process, its machine, and the decision that started it."""
    agent = line.agent
    mark = shown.mark(agent.state or "Unknown", "agent")
    return [
        Fact("agent", agent.name),
        Fact("pool", agent.pool),
        Fact("state", f"{mark.sign(utf8=utf8)} {mark.word}", mark.tone),
        Fact("why", why(line)),
        *_work(line),
        *_worked(line),
        *_process(line),
        *_machine(agent),
        *_starter(store, agent),
    ]


def why(line: AgentLine) -> str:
    """Why it is in its state, as sentences."""
    agent = line.agent
    said = f" It says: {agent.detail}" if agent.detail else ""
    finder = _WHY.get(agent.state)
    if finder is None:
        return f"This dashboard does not know the state it is in.{said}"
    return f"{finder(line)}{_reason(agent)}"


def _reason(agent: AgentRow) -> str:
    if not agent.detail:
        return ""
    names = {"Draining": "Asked to leave", "Left": "Why it left", "Pending": "What is known"}
    return f" {names.get(agent.state, 'Why')}: {agent.detail}"


def _pending(line: AgentLine) -> str:
    waited, worker = line.age, line.agent.worker
    if waited is None:
        return "It was started, and has not joined yet."
    if worker is not None and worker.pending_code:
        return f"It was started {shown.age(waited)} ago, and its platform has not begun to run it: {_unmet(worker)}"
    late = " That is long: it no longer counts as on its way." if waited > _JOIN_SECONDS else ""
    return f"It was started {shown.age(waited)} ago, and has not joined yet.{late}"


def _busy(line: AgentLine) -> str:
    build = line.build
    if build is None:
        return "It works on a build."
    stage = f", stage {build.stage}" if build.stage else ""
    return f"It works on a build of {build.project or shown.UNKNOWN}{stage}."


def _draining(line: AgentLine) -> str:
    if line.agent.build_id:
        return "It finishes the build it has, takes no other, and then leaves."
    return "It takes no more work and leaves."


def _unresponsive(line: AgentLine) -> str:
    heard = "has never heard of it" if line.heard is None else f"last heard of it {shown.age(line.heard)} ago"
    return f"Its process runs, but the producer {heard}. It still counts, and is not killed."


def _left(_: AgentLine) -> str:
    return "It has left the farm."


def _lost(_: AgentLine) -> str:
    return "The producer has given it up: it was not heard of for too long. Its job went back."


def _idle(_: AgentLine) -> str:
    return "It waits for work."


def _exited(line: AgentLine) -> str:
    worker = line.agent.worker
    if worker is not None and worker.pending_code:
        return f"It never began to run, and was taken away: {_unmet(worker)}"
    return f"Its process has ended{_exit(worker)}."


def _unmet(worker: WorkerInfo) -> str:
    return worker.pending_reason or f"{str(worker.pending_code).replace('_', ' ')}."


def _exit(worker: WorkerInfo | None) -> str:
    code = worker.exit_code if worker else None
    if code is None:
        return ""
    if code == 0:
        return " by itself, with exit code 0"
    if code > 0:
        return f" with exit code {code}"
    try:
        return f" by the signal {signal.Signals(-code).name}"
    except ValueError:
        return f" by the signal {-code}"


_WHY: Mapping[str, Callable[[AgentLine], str]] = {
    "Pending": _pending,
    "Idle": _idle,
    "Busy": _busy,
    "Draining": _draining,
    "Unresponsive": _unresponsive,
    "Left": _left,
    "Lost": _lost,
    "Exited": _exited,
}


def _worked(line: AgentLine) -> list[Fact]:
    view = line.agent.view
    if view is None or view.jobs_done is None:
        return []
    return [Fact("jobs done", f"{shown.count(view.jobs_done)}, and {shown.count(view.jobs_failed)} failed, in 24 h")]


def _work(line: AgentLine) -> list[Fact]:
    agent, build = line.agent, line.build
    lines = [heading("Its job")]
    if not agent.build_id:
        return [*lines, Fact("build", "none", "muted")]
    lines.append(Fact("build", agent.build_id))
    if agent.job_id:
        lines.append(Fact("job", agent.job_id))
    if build is not None:
        lines += _build(line, build)
    return lines


def _build(line: AgentLine, build: BuildRow) -> list[Fact]:
    mark = shown.mark(build.status)
    parts = [("project", build.project), ("branch", build.ref), ("stage", build.stage)]
    lines = [Fact(label, text) for label, text in parts if text]
    lines.append(Fact("status", mark.word, mark.tone))
    if line.works_for is not None and not build.ended:
        lines.append(Fact("runs for", shown.age(line.works_for)))
    if build.attempt > 1:
        lines.append(Fact("attempt", str(build.attempt), "warning"))
    return lines


def _process(line: AgentLine) -> list[Fact]:
    view, worker = line.agent.view, line.agent.worker
    lines = [heading("Its process")]
    if worker is None:
        lines.append(Fact("scaler", "knows no process of this name", "muted"))
    else:
        lines.append(Fact("scaler", f"says {worker.state or shown.UNKNOWN}{_exit(worker)}"))
        lines += [Fact(label, text) for label, text in (("phase", worker.phase), ("node", worker.node)) if text]
        if worker.restarts:
            lines.append(Fact("restarts", str(worker.restarts), "warning"))
    if view is None:
        lines.append(Fact("producer", "does not know it: it has not joined", "waiting"))
    else:
        lines.append(Fact("producer", f"says {view.state}"))
        heard = line.heard or 0.0
        lines.append(Fact("heard", f"{shown.age(heard)} ago", heard_tone(heard)))
    pid = worker.pid if worker and worker.pid is not None else view.pid if view else None
    lines.append(Fact("process id", shown.NONE if pid is None else str(pid)))
    lines.append(Fact("started", shown.day_and_clock(started_at(line))))
    if view is not None:
        lines += [Fact("host", view.hostname), Fact("version", view.version)]
    return lines


def _machine(agent: AgentRow) -> list[Fact]:
    view = agent.view
    lines = [heading("Its machine")]
    if view is None:
        return [*lines, Fact("", "nothing is known before it has joined", "muted")]
    has, health = view.capabilities, view.health
    lines.append(Fact("system", " ".join(part for part in (has.os, has.arch) if part) or shown.UNKNOWN))
    cores = f"{has.cores:g}" if has.cores else shown.UNKNOWN
    lines.append(Fact("load", f"{load_text(health.load_1m)} on {cores} cores", load_tone(agent)))
    lines.append(Fact("memory", _room(*memory(agent)), room_tone(*memory(agent))))
    lines.append(Fact("disk", _room(*disk(agent)), room_tone(*disk(agent))))
    lines.append(Fact("agent uses", shown.size(health.agent_memory_bytes)))
    tools = ", ".join(f"{name} {version}".strip() for name, version in sorted(has.tools.items()))
    lines.append(Fact("tools", tools or "none named", "plain" if tools else "muted"))
    return lines


def _room(free: int | None, whole: int) -> str:
    of = f" of {shown.size(whole)}" if whole else ""
    return f"{shown.UNKNOWN} free{of}: the platform does not tell" if free is None else f"{shown.size(free)} free{of}"


def _starter(store: Store, agent: AgentRow) -> list[Fact]:
    lines = [heading("Who started it")]
    decision = store.decisions.get(agent.started_by) if agent.started_by is not None else None
    if agent.started_by is None:
        return [*lines, Fact("", "no decision that is known here", "muted")]
    lines.append(Fact("decision", shown.count(agent.started_by)))
    if decision is not None:
        lines += [Fact("at", shown.day_and_clock(decision.at)), Fact("because", decision.reason)]
    return lines
