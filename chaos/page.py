"""A verdict as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from chaos.blow import Blow
from chaos.cluster_verdict import rows as cluster_rows
from chaos.verdict import Observed, Verdict


def rows_of(observed: Observed, verdict: Verdict) -> list[tuple[str, str]]:
    """The table's lines."""
    ends = Counter(seen.status.status for seen in observed.builds.values())
    extra = len(observed.builds.keys() - observed.accepted.keys())
    lines = [
        ("accepted", f"{len(observed.accepted)} ({extra} more whose answer was lost)"),
        ("not accepted, the producer was away", str(observed.unanswered)),
        ("ends", ", ".join(f"{count} {status}" for status, count in sorted(ends.items()))),
        ("side effects counted outside", str(len(observed.ledger))),
        ("builds that killed their workers and were given up", str(len(observed.dead))),
        ("commands run again across a fault", str(verdict.reruns)),
        ("late, repeated or forged reports refused", str(observed.refused)),
    ]
    lines += cluster_rows(observed.cluster) if observed.cluster else []
    lines += [(promise, str(len(breaches))) for promise, breaches in verdict.broken.items()]
    for cause, seconds in verdict.seconds.items():
        lines.append(
            (cause, f"p50 {percentile(seconds, 0.5):.1f} s, p95 {percentile(seconds, 0.95):.1f} s, n {len(seconds)}")
        )
    return lines + _struck(observed.blows)


def _struck(blows: Sequence[Blow]) -> list[tuple[str, str]]:
    """How often each fault found a victim, and how long it lasted at most."""
    longest: dict[str, list[float]] = {}
    for blow in blows:
        longest.setdefault(blow.fault.value, []).append((blow.ended - blow.began).total_seconds())
    return [
        (f"struck: {fault}", f"{len(seconds)}, the longest for {max(seconds):.0f} s")
        for fault, seconds in sorted(longest.items())
    ]


def table(lines: Sequence[tuple[str, str]]) -> str:
    """Lines as two columns."""
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def as_json(observed: Observed, verdict: Verdict) -> str:
    """The same as one JSON object, with every breach's sentence."""
    return json.dumps(
        {
            "figures": dict(rows_of(observed, verdict)),
            "broken": {promise: breaches for promise, breaches in verdict.broken.items() if breaches},
        },
        indent=2,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
