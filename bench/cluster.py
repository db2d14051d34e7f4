"""`bench cluster`: a scaler on a real Kubernetes control plane: how soon, how fast, at what cost.

Real are etcd, API server, scheduler, controller manager, RabbitMQ and PostgreSQL (where they are named), producer and
scaler, each a process of its own on this machine. Pods are KWOK's and run no process.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from bench import cluster_bursts, cluster_crowd
from bench.cluster_place import best_setting, ground, throwaway
from bench.cluster_plot import svg
from bench.figures import Section

PICTURE = Path(__file__).parents[1] / "docs" / "scaling" / "cluster.svg"
NODES = 12
_T = TypeVar("_T")


async def measure() -> Section:
    """All of it, about a quarter of an hour."""
    with tempfile.TemporaryDirectory(prefix="buildyard-bench-") as name:
        folder = Path(name)
        async with _open(throwaway(NODES)) as on:
            async with _open(ground(on, folder)) as place:
                bursts = await cluster_bursts.run(place)
            async with _open(ground(on, folder)) as place:
                past = await cluster_crowd.past(place)
            async with _open(ground(on, folder)) as place:
                crowd = await cluster_crowd.crowd(place)
    PICTURE.write_text(svg(bursts, crowd), encoding="utf-8")
    rows = [
        *cluster_bursts.rows(bursts),
        *cluster_crowd.rows_of_crowd(crowd),
        *cluster_crowd.rows_of_past(past),
    ]
    return Section(rows, _text(best_setting().name))


def _text(at: str) -> str:
    return (
        f"Servers: {at}; etcd, API server, scheduler and controller manager of Kubernetes 1.34, producer and scaler "
        "are real processes, and share this machine with the bench. Moments of calls and their numbers are from the "
        "API server's audit log, which names every call of the scaler's account; that has the rights of `k8s/base`. "
        "Simulated are the nodes and what runs on them: KWOK plays pods without a process. In the bursts this process "
        "stands in for workers: it takes their tickets, and cancels the builds once their Jobs are asked for. The "
        "clock of a burst begins when its first request is sent, which is before the publish is confirmed. The ticks "
        "are those of a second scaler, made of the same parts in the bench's own process beside the real one.\n\n"
        "How many workers the policies start for a load is not measured here: with five shapes, two speeds of nodes "
        "and loads of an hour that takes most of a day. `bench sizing` simulates it with the scaler's own decision, "
        "beside KEDA's strategies, and `bench simulate` checks the simulator against a live farm.\n\n"
        "![bursts and Jobs over time](scaling/cluster.svg)"
    )


@asynccontextmanager
async def _open(manager: AbstractContextManager[_T]) -> AsyncIterator[_T]:
    """A context whose ways in and out take long, beside the loop: signals are heard meanwhile."""
    with ExitStack() as stack:
        made = await asyncio.to_thread(stack.enter_context, manager)
        try:
            yield made
        finally:
            await asyncio.to_thread(stack.close)
