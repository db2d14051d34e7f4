"""`python -m worker`: one agent of one pool."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence

if __name__ == "__main__":
    # They draw on terminals; structlog and httpx load them wherever they are installed: 5 MB of a process for nothing
    sys.modules.update(dict.fromkeys(("rich", "pygments")))  # type: ignore[arg-type] # None: not to be found

from buildyard.broker import open_broker
from buildyard.client import ProducerClient
from buildyard.clock import SystemClock
from buildyard.errors import BuildyardError, InvalidSettings
from buildyard.objects import open_objects
from buildyard.settings import Settings, load_settings
from buildyard.telemetry import configure_logging, logger
from worker.app import Agent
from worker.capabilities import find_tools, usable_cores
from worker.git.credentials import load_credentials
from worker.job_in_hand import Means
from worker.joining import Identity
from worker.leaving import Urgency
from worker.process import become_subreaper
from worker.reporting import Reporter

_EXIT_USAGE = 2
_NAME = re.compile(r"[a-z][a-z0-9-]{0,79}")
_POOL = re.compile(r"[a-z][a-z0-9-]{0,39}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an agent to its end and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m worker", description="One agent of one pool.")
    parser.add_argument("--pool", default="linux", help="the pool whose jobs it takes (linux)")
    parser.add_argument("--name", default="", help="its name; without one it is made of pool, host and process")
    given = parser.parse_args(arguments)
    identity = Identity(given.name or _name(given.pool), given.pool, socket.gethostname(), os.getpid())
    if not _POOL.fullmatch(given.pool) or not _NAME.fullmatch(identity.name):
        parser.error("pool and name are lower-case letters, digits and dashes, and begin with a letter")
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format, identity.name)
        return asyncio.run(_run(identity, settings))
    except InvalidSettings as error:
        sys.stderr.write(f"{error} {error.remedy}\n")
        return _EXIT_USAGE


def _name(pool: str) -> str:
    host = re.sub(r"[^a-z0-9]+", "-", socket.gethostname().lower()).strip("-")[:30]
    return f"{pool}-{host or 'host'}-{os.getpid()}"


async def _run(identity: Identity, settings: Settings) -> int:
    settings = settings.model_copy(update={"data_dir": settings.data_dir.absolute()})
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    load_credentials(settings.git_credentials_file)  # a mistake in it is told now, not at the first private repository
    become_subreaper()
    clock = SystemClock()
    tools = await find_tools(os.environ, settings.data_dir, identity.name)
    logger("worker").info("tools", **tools.versions)
    broker = open_broker(settings.broker)
    producer = ProducerClient(settings.api, settings.token)
    try:
        agent = Agent(
            identity,
            Means(
                name=identity.name,
                settings=settings,
                broker=broker,
                objects=open_objects(settings.objects),
                producer=producer,
                reporter=Reporter(broker, clock),
                clock=clock,
                environment=dict(os.environ),
                tools=tools,
                cores=max(1, round(usable_cores())),
            ),
        )
        _leave_on_signals(agent)
        return await agent.run(lambda: print(f"ready {identity.name}", flush=True))  # noqa: T201 - what starters wait for
    finally:
        await producer.aclose()


def _leave_on_signals(agent: Agent) -> None:
    """The first SIGTERM or SIGINT gives the job in hand the grace, the second one does not."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def received(number: int) -> None:
        seen.append(number)
        urgency = Urgency.TERMINATE if len(seen) == 1 else Urgency.AT_ONCE
        agent.leave(urgency, f"The agent received {signal.Signals(number).name}.")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: loop.call_soon_threadsafe(received, got))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BuildyardError as error:
        sys.exit(f"{error} {error.remedy}".strip())
