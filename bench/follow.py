"""`bench follow`: a line of a log from the process that writes it to a client that follows, and the tail of a long log.

A whole farm with a real worker: the project's Makefile writes lines with the time of their writing. Both ends read one
machine's clock.
"""

from __future__ import annotations

import asyncio
import io
import time
import zipfile
from pathlib import Path

import httpx

from bench.farms import Setting, farm, settings, times, upload
from bench.figures import Row, percentile, spread
from buildyard.client import ProducerClient

LINES = 400
APART_SECONDS = 0.02
ROUNDS = 3
LONG_LINES = 1_000_000
TAILS = (100, 5000)
TAIL_ROUNDS = 3
TAIL_COUNT = 50
_MARK = "written-at"


async def measure() -> list[Row]:
    """Rows for each setting."""
    return [row for setting in settings() for row in await _measure(setting)]


async def _measure(setting: Setting) -> list[Row]:
    async with farm(setting) as running, ProducerClient(running.api_url) as client:
        await times(client, await upload(client, _project("@true")))
        runs = [await _followed(client, running.api_url) for _ in range(ROUNDS)]
        every = [value for run in runs for value in run]
        rows = [
            Row(
                f"line of a log from its process to a client that follows, {setting.name}",
                f"p50 {percentile(every, 0.5):.0f} ms, p95 {percentile(every, 0.95):.0f} ms",
                "p95 " + spread([percentile(run, 0.95) for run in runs], "ms"),
                "p95 < 250 ms",
            )
        ]
        return rows + await _tailed(client, running.api_url, running.producer.pid or 0, setting.name)


async def _followed(client: ProducerClient, url: str) -> list[float]:
    """Milliseconds of each line that was written while the client was there."""
    command = f"@for i in $$(seq {LINES}); do date +{_MARK}=%s%N; sleep {APART_SECONDS}; done"
    build_id = await upload(client, _project(command))
    found: list[float] = []
    address = f"/api/v1/builds/{build_id}/logs?follow=1"
    async with httpx.AsyncClient(base_url=url, timeout=60) as http, http.stream("GET", address) as answer:
        begun = time.time_ns()
        async for line in answer.aiter_lines():
            name, _, written = line.partition("=")
            if name == _MARK and int(written) > begun:
                found.append((time.time_ns() - int(written)) / 1e6)
    if len(found) < LINES / 2:
        raise SystemExit(f"Only {len(found)} lines of {LINES} were followed live.")
    return found


async def _tailed(client: ProducerClient, url: str, producer: int, name: str) -> list[Row]:
    line = "x" * 80
    begun = time.perf_counter()
    [agent] = (await client.agents()).agents
    before = {pid: _peak(pid, reset=True) for pid in (producer, agent.pid)}
    build_id = await upload(client, _project(f"@seq -f '%.0f {line} of a long log' {LONG_LINES}"))
    await times(client, build_id)
    seconds = time.perf_counter() - begun
    growth = [_peak(pid) - megabytes for pid, megabytes in before.items()]
    rows = [
        Row(
            f"log of 100 MB, {name}: growth of producer and worker",
            f"{growth[0]:.0f} MB and {growth[1]:.0f} MB",
            f"one build of {seconds:.0f} s",
        )
    ]
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        for tail in TAILS:
            runs: list[list[float]] = []
            for _ in range(TAIL_ROUNDS):
                runs.append([])
                for _ in range(TAIL_COUNT):
                    begun = time.perf_counter()
                    answer = await http.get(f"/api/v1/builds/{build_id}/logs", params={"tail": tail})
                    runs[-1].append((time.perf_counter() - begun) * 1000)
                    if answer.text.count("\n") != tail:
                        raise SystemExit(f"The tail has {answer.text.count(chr(10))} lines instead of {tail}.")
            every = [value for run in runs for value in run]
            highest = [percentile(run, 0.95) for run in runs]
            figure = f"p50 {percentile(every, 0.5):.0f} ms, p95 {percentile(every, 0.95):.0f} ms"
            aim = "p95 < 50 ms"
            rows.append(
                Row(f"last {tail} lines of a log of 100 MB, {name}", figure, "p95 " + spread(highest, "ms"), aim)
            )
    return rows


def _project(command: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("Makefile", f"all:\n\t{command}\n")
    return out.getvalue()


def _peak(pid: int, *, reset: bool = False) -> float:
    """The most memory a process held since its peak was forgotten, in megabytes."""
    if reset:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


if __name__ == "__main__":
    for one in asyncio.run(measure()):
        print(f"{one.what}: {one.figure} ({one.spread})")
