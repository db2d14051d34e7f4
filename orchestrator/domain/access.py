"""Who and what may in: agents with what their pool declares, and sources from where the farm allows."""

from __future__ import annotations

from datetime import datetime

from buildyard.contracts.agents import Capabilities
from orchestrator.domain.records import Refusal


def lacking(declared: Capabilities, present: Capabilities) -> str:
    """What an agent lacks of what its pool declares, in words; empty when nothing."""
    gaps = [
        f"it has {have or 'no'} {what} where the pool declares {want}"
        for what, want, have in (
            ("operating system", declared.os, present.os),
            ("architecture", declared.arch, present.arch),
        )
        if want and want.lower() != have.lower()
    ]
    gaps += [
        f"it has {have:g} {what} where the pool declares {want:g}"
        for what, want, have in (
            ("cores", declared.cores, present.cores),
            ("bytes of memory", declared.memory_bytes, present.memory_bytes),
            ("bytes of disk", declared.disk_bytes, present.disk_bytes),
        )
        if want > have
    ]
    for tool, version in sorted(declared.tools.items()):
        found = present.tools.get(tool)
        if found is None:
            gaps.append(f"it lacks the tool {tool}")
        elif version and not _fits(version, found):
            gaps.append(f"its {tool} is {found}, the pool declares {version}")
    return "; ".join(gaps)


def why_nobody(refusal: Refusal | None, agents_seen_at: datetime | None) -> str:
    """Why a pool has no agent, as far as that is known: nobody fit to join it came after its last agent was seen."""
    if refusal is None or (agents_seen_at is not None and agents_seen_at > refusal.at):
        return ""
    return f"Agent {refusal.agent} asked to join the pool {refusal.pool} and was refused: {refusal.lacks}."


def _fits(declared: str, found: str) -> bool:
    """`3.1` fits 3.1.102: a declared version names as many parts as matter."""
    return found == declared or found.startswith(declared + ".")
