"""A farm whose workers are faulty, with a ledger that counts outside what they did."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from buildyard.cli.local import Farm
from buildyard.client import ProducerClient, ScalerClient
from buildyard.contracts.api import BuildStatus
from chaos.proxy import Proxy, proxied
from tests.journey.faulty_worker import COMMANDS, FOLDER
from tests.journey.yard import QUICK, Yard, until, zipped

ROOT = Path(__file__).resolve().parents[2]

STEP = """
echo "$1 $BUILDYARD_ATTEMPT" >> {ledger}
echo "line $1 $BUILDYARD_ATTEMPT"
if [ "$1" = build ]; then echo "$BUILDYARD_ATTEMPT" > result.txt; fi
if [ "middle of $1" = "{project}" ] && mkdir "{marks}/middle of $1" 2>/dev/null; then
  kill -9 $PPID
  exec sleep 600.{mark}
fi
"""


class FaultyFarm(Farm):
    """A farm that starts the scaler of faulty workers."""

    def _prepare(self) -> None:
        super()._prepare()
        self.scaler._arguments = ("tests.journey.faulty_scaler", "--stop-workers")


@asynccontextmanager
async def open_faulty_yard(folder: Path, env: Mapping[str, str], max_workers: int) -> AsyncIterator[Yard]:
    """Run a farm of faulty workers for the length of the block; as many workers as there is work for, at once."""
    pools = folder / "pools.toml"
    pools.write_text(f"[pools.linux.policy]\nmax_workers = {max_workers}\nburst_threshold = 0\nburst_size = 4\n")
    marks(folder).mkdir()
    ledger(folder).touch()
    settings = {
        **QUICK,
        "BUILDYARD_TICK_SECONDS": "0.5",
        **env,
        "BUILDYARD_POOLS_FILE": str(pools),
        FOLDER: str(marks(folder)),
        "PYTHONPATH": str(ROOT),
    }
    async with (
        FaultyFarm(folder / "data", env=settings, grace_seconds=10) as farm,
        ProducerClient(farm.api_url) as producer,
        ScalerClient(farm.scaler_url) as scaler,
    ):
        yield Yard(farm, producer, scaler, folder)


def marks(folder: Path) -> Path:
    """Where each fault that struck leaves its mark."""
    return folder / "marks"


def ledger(folder: Path) -> Path:
    """Where each command that ran leaves its line: `STAGE JOB/ATTEMPT`."""
    return folder / "ledger"


def staged_project(folder: Path, project: str, mark: str) -> bytes:
    """A project whose every stage does something; `mark` marks the process that stays behind in a middle of one."""
    step = STEP.format(ledger=ledger(folder), marks=marks(folder), project=project, mark=mark)
    stages = "".join(f'[stages.{one.value}]\ncommands = [["sh", "step.sh", "{one.value}"]]\n' for one in COMMANDS)
    return zipped(
        {
            "Makefile": "all:\n",
            "step.sh": step,
            "buildyard.toml": f'toolchain = "make"\n{stages}[artifacts]\npaths = ["result.txt"]\n',
        }
    )


async def broken_promises(yard: Yard, status: BuildStatus, into: Path) -> list[str]:
    """What is wrong with a staged project's build, in sentences: an empty list when every promise was kept."""
    wrong = []
    attempts = {f"{one.job_id}/{one.number}": one for one in status.attempts}
    if status.status != "Succeeded" or not status.reason:
        wrong.append(f"it ended {status.status}: {status.reason}")
    last = f"{status.attempts[-1].job_id}/{status.attempts[-1].number}"
    ran = [line.split() for line in ledger(yard.folder).read_text().splitlines()]
    mine = Counter((stage, attempt) for stage, attempt in ran if attempt in attempts)
    wrong += [f"{stage} ran {count} times in attempt {one}" for (stage, one), count in mine.items() if count > 1]
    wrong += [f"{one.value} did not run in the last attempt" for one in COMMANDS if not mine[one.value, last]]
    lines = Counter(line for line in (await yard.log(status.execution_id)).split("\n") if line.startswith("line "))
    wrong += [f"its log says {line!r} {count} times" for line, count in lines.items() if count > 1]
    wrong += [f"its log lacks {one.value}" for one in COMMANDS if not lines[f"line {one.value} {last}"]]
    artifacts = await yard.verified(status.execution_id, into)
    if {path: file.read_text().strip() for path, file in artifacts.items()} != {"result.txt": last}:
        wrong.append(f"its artifacts are {sorted(artifacts)}, not the last attempt's")
    return wrong


class Cut(Protocol):
    """The way of all parts to their broker: cut, and mended again."""

    async def cut(self) -> None:
        """From here on the broker can be reached by nobody."""

    async def mend(self) -> None:
        """It can again."""


@asynccontextmanager
async def cuttable(where: Mapping[str, str], folder: Path) -> AsyncIterator[tuple[dict[str, str], Cut]]:
    """Settings for a farm in `folder` like `where`, and the cut that keeps it from its broker."""
    if not where:
        yield {}, _Locked(folder / "data" / "broker.sqlite")
        return
    parts = urlsplit(where["BUILDYARD_BROKER_URL"])
    async with proxied(parts.hostname or "", parts.port or 0) as proxy:
        who = parts.netloc.rpartition("@")[0]
        through = parts._replace(netloc=f"{who}@127.0.0.1:{proxy.port}").geturl()
        yield {**where, "BUILDYARD_BROKER_URL": through}, _Refused(proxy)


class _Locked:
    """A broker that is a file: somebody writes to it, and does not end."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._writer: sqlite3.Connection | None = None

    async def cut(self) -> None:
        self._writer = await asyncio.to_thread(self._write)

    async def mend(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self) -> sqlite3.Connection:
        writer = sqlite3.connect(self._file, timeout=60, isolation_level=None, check_same_thread=False)
        writer.execute("BEGIN IMMEDIATE")
        return writer


class _Refused:
    """A broker on the network: connections are lost, and none comes up."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    async def cut(self) -> None:
        await self._proxy.refuse()

    async def mend(self) -> None:
        await self._proxy.listen()


def agent_log(yard: Yard, agent: str) -> Path:
    """What a worker said."""
    return yard.farm.data_dir / "workers" / agent / "agent.log"


async def said(file: Path, words: str, times: int = 1) -> None:
    """Wait until a file holds these words so often."""

    async def is_said() -> bool:
        return file.exists() and file.read_text().count(words) >= times

    await until(is_said)


def exit_code(yard: Yard, agent: str) -> int | None:
    """How a worker ended; None while it runs."""
    told = json.loads((yard.farm.data_dir / "workers" / agent / "worker.json").read_text())
    code: int | None = told["exitCode"]
    return code


def killed(yard: Yard) -> int:
    """How many workers were killed, as the system told who started them: those that drained ended with 0.

    A process may be seen as gone a moment before its exit code can be had; then there is none.
    """
    told = [json.loads(path.read_text()) for path in (yard.farm.data_dir / "workers").glob("*/worker.json")]
    return sum(one["exitCode"] in {-9, None} for one in told if one.get("endedAt"))
