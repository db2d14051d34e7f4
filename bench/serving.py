"""One server process to measure: started, ready, counted and ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A server that answers at `url`."""

    pid: int
    url: str

    def cpu_seconds(self) -> float:
        """What it has used of a processor until now."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@asynccontextmanager
async def serving(module: str, *arguments: str, env: Mapping[str, str]) -> AsyncIterator[Served]:
    """Run `python -m MODULE ARGUMENTS`, which says `ready URL`, for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=dict(env), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_START_SECONDS):
            ready = (await process.stdout.readline()).decode()
        if not ready.startswith("ready "):
            raise SystemExit(f"{module} did not get ready: {ready!r}")
        yield Served(process.pid, ready.removeprefix("ready ").strip())
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def producer_settings(folder: Path, places: Mapping[str, str], **more: str) -> dict[str, str]:
    """The environment of a producer in a folder, with no workers, on the servers that `places` name."""
    folder.mkdir(parents=True, exist_ok=True)
    pools = folder / "pools.toml"
    pools.write_text("[pools.linux.policy]\nmax_workers = 0\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    own = {
        "BUILDYARD_DATA_DIR": str(folder),
        "BUILDYARD_PORT": "0",
        "BUILDYARD_LOG_LEVEL": "warning",
        "BUILDYARD_POOLS_FILE": str(pools),
        "BUILDYARD_GIT_HOSTS": "github.com",
    }
    return {**kept, **own, **places, **more}
