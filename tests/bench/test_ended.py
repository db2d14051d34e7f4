"""A bench or a soak that is asked to end leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from bench.children import child
from buildyard.cli.exits import INTERRUPTED
from chaos.processes import running

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120
_PARTS = 2
"""A farm has a producer and a scaler before it has anything else."""


@pytest.mark.parametrize(
    "words", [("bench", "start"), ("chaos", "--seed", "1", "--minutes", "30")], ids=["bench", "chaos"]
)
async def test_what_is_asked_to_end_stops_its_farm_first(words: tuple[str, ...], tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    env = {**kept, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    async with child(sys.executable, "-m", *words, cwd=ROOT, env=env) as process, asyncio.timeout(PATIENCE):
        while len(await asyncio.to_thread(running, tmp_path)) < _PARTS:
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)

        assert await process.wait() == INTERRUPTED
        assert running(tmp_path) == ()
        assert list(tmp_path.iterdir()) == [], "its folder is gone too"


async def test_a_program_that_a_bench_runs_ends_with_it(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    program = f"trap 'touch {ended}; exit 0' TERM; echo there; while true; do sleep 0.05; done"

    async with child("sh", "-c", program, stdout=asyncio.subprocess.PIPE) as process, asyncio.timeout(PATIENCE):
        assert process.stdout is not None
        await process.stdout.readline()

    assert process.returncode == 0
    assert ended.exists()
