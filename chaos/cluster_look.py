"""What is seen of the cluster when a run is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import httpx

from chaos.blow import Blow
from chaos.cluster_site import Site, TwinFarm
from chaos.cluster_verdict import ClusterSeen
from chaos.crowd import crowd
from chaos.plan import Fault
from scaler.executors.kubernetes_job import WORKER

_LEFT_SECONDS = 90.0
"""So long workers have to leave once all is quiet; a loaded machine takes a while to look."""
_LOOK_SECONDS = 0.2
_AUDITED = frozenset({Fault.FORCE_DELETE, Fault.PREEMPT})


async def look_at(site: Site, farm: TwinFarm, blows: Sequence[Blow]) -> ClusterSeen:
    """Wait until all workers have left and the audit has its entries; then everything that was written down."""
    stayed: tuple[str, ...] = ()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LEFT_SECONDS):
            while (stayed := await _present(site)) or not _audited(site, blows):
                await asyncio.sleep(_LOOK_SECONDS)
    return ClusterSeen(
        cap=site.most,
        crowd=crowd(site.witness.changes),
        ended=site.cluster.audit.entries(site.namespace),
        ticks=tuple(sorted(site.witness.ticks.values(), key=lambda tick: tick.at)),
        alarms=site.witness.alarms,
        restarts=farm.restarts,
        stayed=stayed,
        blows=tuple(blows),
    )


async def _present(site: Site) -> tuple[str, ...]:
    try:
        pods = await site.pods()
    except httpx.HTTPError:
        return ("nobody knows who",)
    return tuple(
        pod["metadata"]["labels"][WORKER] for pod in pods if pod["status"].get("phase") not in {"Succeeded", "Failed"}
    )


def _audited(site: Site, blows: Sequence[Blow]) -> bool:
    """Whether the audit knows of all pods that a strike took: it writes when their worker's attempt is judged."""
    agents = {one.agent for one in site.cluster.audit.entries(site.namespace)}
    return all(blow.victim in agents for blow in blows if blow.fault in _AUDITED)
