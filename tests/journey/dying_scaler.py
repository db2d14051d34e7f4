"""`python -m tests.journey.dying_scaler`: the scaler, which kills itself (SIGKILL) at each of MOMENTS, once.

BUILDYARD_FAULT_FOLDER is where each death leaves a folder of its name: who makes it dies, so none dies twice there.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from buildyard.client import ProducerClient
from buildyard.contracts.agents import AgentView
from scaler.__main__ import main
from scaler.executors.process import ProcessExecutor, _Record

FOLDER = "BUILDYARD_FAULT_FOLDER"
BEFORE_LAUNCH, BEFORE_RECORD, IN_MID_DRAIN = MOMENTS = ("before launch", "before record", "in mid drain")


def die(moment: str) -> None:
    """End this process as if its power were cut, unless it died of this before."""
    try:
        Path(os.environ[FOLDER], moment).mkdir()
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Put the deaths where they belong."""
    spawn, write, drain = ProcessExecutor._spawn, ProcessExecutor._write, ProducerClient.drain_agent

    def dying_spawn(self: ProcessExecutor, record: _Record) -> int:
        die(BEFORE_LAUNCH)
        return spawn(self, record)

    def dying_write(self: ProcessExecutor, record: _Record) -> None:
        if record.pid is not None and record.ended_at is None:
            die(BEFORE_RECORD)
        write(self, record)

    async def dying_drain(self: ProducerClient, name: str, reason: str) -> AgentView:
        asked = await drain(self, name, reason)
        die(IN_MID_DRAIN)
        return asked

    ProcessExecutor._spawn = dying_spawn  # type: ignore[method-assign] # that is the fault
    ProcessExecutor._write = dying_write  # type: ignore[method-assign] # that is the fault
    ProducerClient.drain_agent = dying_drain  # type: ignore[method-assign] # that is the fault


if __name__ == "__main__":
    arm()
    sys.exit(main())
