"""`bench estimate`: how far a build's estimates, as its submission answers them, are from what happens.

A whole farm with two workers. A project is built twenty times, one build after another, each taking about a second and
a half with a spread as builds have; then come more of it whose durations are guessed, and a queue whose starts are.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import AsyncIterator

from bench.farms import farm, settings, times
from bench.figures import Row, percentile, spread
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildAccepted

LEARNED = 20
GUESSED = 10
QUEUED = 20
_SECONDS = 1.5
_SIGMA = 0.15
"""Of the logarithm: two builds of three are within 15 % of the middle."""
_SEED = 7


async def measure() -> list[Row]:
    """Rows for the embedded farm: what is guessed does not depend on the servers."""
    setting = settings()[0]
    draw = random.Random(_SEED)
    async with (
        farm(setting, "max_workers = 2\nidle_seconds = 3600") as running,
        ProducerClient(running.api_url) as client,
    ):
        for _ in range(LEARNED):
            await times(client, (await _submit(client, draw)).execution_id)
        durations = []
        for _ in range(GUESSED):
            accepted = await _submit(client, draw)
            await times(client, accepted.execution_id)
            durations.append(await _duration_error(client, accepted))
        starts = await _start_errors(client, [await _submit(client, draw) for _ in range(QUEUED)])
    return [
        _row(f"estimated duration after {LEARNED} builds of the project: error", durations, "p50 <= 20 %"),
        _row(f"estimated start in a queue of {QUEUED}: error as a share of the wait", starts, ""),
    ]


def _row(what: str, errors: list[float], aim: str) -> Row:
    figure = f"p50 {percentile(errors, 0.5):.0f} %, p95 {percentile(errors, 0.95):.0f} %"
    return Row(what, figure, spread(errors, "%"), aim)


async def _duration_error(client: ProducerClient, accepted: BuildAccepted) -> float:
    taken = (await client.build(accepted.execution_id)).duration
    if taken is None or accepted.estimated_duration is None:
        raise SystemExit(f"Build {accepted.execution_id} tells no duration, or none was guessed.")
    return abs(accepted.estimated_duration - taken) / taken * 100


async def _start_errors(client: ProducerClient, queued: list[BuildAccepted]) -> list[float]:
    """Of the builds that waited at all, how far the guess was off, in percent of the wait."""
    errors = []
    for accepted in queued:
        await times(client, accepted.execution_id)
        build = await client.build(accepted.execution_id)
        if build.start_time is None or accepted.estimated_start_time is None:
            raise SystemExit(f"Build {accepted.execution_id} tells no start, or none was guessed.")
        waited = (build.start_time - build.created_at).total_seconds()
        if waited > _SECONDS:
            off = (accepted.estimated_start_time - build.start_time).total_seconds()
            errors.append(abs(off) / waited * 100)
    return errors


async def _submit(client: ProducerClient, draw: random.Random) -> BuildAccepted:
    seconds = _SECONDS * draw.lognormvariate(0, _SIGMA)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Makefile", f"all:\n\t@sleep {seconds:.3f}\n")

    async def pieces() -> AsyncIterator[bytes]:
        yield out.getvalue()

    return await client.upload(pieces(), {"projectName": "learned"}, filename="project.zip")
