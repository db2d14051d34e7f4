"""`python -m chaos`: a soak under faults. Exit codes: 0 every promise held, 1 one was broken, 2 usage, 130 stopped."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from buildyard.cli.exits import INTERRUPTED
from buildyard.cli.foreground import until_told
from chaos.cluster_site import open_site
from chaos.cluster_verdict import late
from chaos.own import KINDS, NoServers, own_servers
from chaos.page import as_json, rows_of, table
from chaos.plan import CLUSTER, EMBEDDED, OWN_RABBITMQ_3, OWN_SERVERS, SERVERS, Fault, in_turn, messages, schedule
from chaos.soak import soak
from chaos.verdict import Observed, judge
from chaos.yard import LEASE_SECONDS, Servers, servers_of_environment
from tests.cluster.building import NotBuilt, programs
from tests.cluster.running import cluster as throwaway

_WORKERS, _MESSAGES_WORKERS = 8, 25
_OF_A_CLUSTER = "rabbitmq3"
"""What a run on a cluster starts where nobody names servers: two producers cannot share the embedded ones."""
FAULTS_OF_OWN = {"rabbitmq3": OWN_RABBITMQ_3, "rabbitmq4": OWN_SERVERS}


def main() -> int:
    """Run what the command line asks for."""
    parser = _parser()
    given = parser.parse_args()
    if given.own_servers and given.on == "embedded":
        parser.error("--own-servers goes with --on servers or --on cluster")
    if (given.messages or given.workers) and given.on != "cluster":
        parser.error("--messages and --workers go with --on cluster")
    folder = Path(tempfile.mkdtemp(prefix="buildyard-chaos-"))
    try:
        observed = _observed(given, folder)
    except NoServers as error:
        folder.rmdir()
        parser.error(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(folder, ignore_errors=True)
        print("Stopped before its end: nothing was proven.", file=sys.stderr)
        return INTERRUPTED
    verdict = judge(observed)
    if observed.cluster is not None:
        verdict = replace(verdict, broken={**verdict.broken, **late(observed.cluster)})
    print(as_json(observed, verdict) if given.json else table(rows_of(observed, verdict)))
    breaches = [sentence for sentences in verdict.broken.values() for sentence in sentences]
    if not breaches:
        shutil.rmtree(folder)
        return 0
    for sentence in breaches:
        print(sentence, file=sys.stderr)
    print(
        f"{len(breaches)} promises were broken with seed {given.seed}; everything is kept in {folder}.", file=sys.stderr
    )
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Builds under faults, and a ledger of both.")
    parser.add_argument("--seed", type=int, default=1, help="the schedule: the same seed, the same orders and strikes")
    parser.add_argument("--minutes", type=float, default=5, help="how long it strikes (5)")
    parser.add_argument(
        "--on",
        choices=("embedded", "servers", "cluster"),
        default="embedded",
        help="servers: RabbitMQ and PostgreSQL at BUILDYARD_TEST_AMQP_URL and BUILDYARD_TEST_POSTGRES_URL; "
        "cluster: the same, and workers as Jobs on a throwaway Kubernetes",
    )
    parser.add_argument(
        "--own-servers",
        nargs="?",
        choices=tuple(KINDS),
        const="rabbitmq3",
        help="with --on servers or cluster: start RabbitMQ (3.10 or 4) and PostgreSQL for this run (as root); "
        "--on servers kills them too",
    )
    parser.add_argument(
        "--messages", type=int, help="with --on cluster: no strikes, so many jobs at once (10000) against --workers"
    )
    parser.add_argument("--workers", type=int, help="with --on cluster: at most so many (8; with --messages 25)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser


def _observed(given: argparse.Namespace, folder: Path) -> Observed:
    """Run it; a signal that asks for the end stops farm and servers in order.

    Raises:
        NoServers: it has nothing to stand on.
        KeyboardInterrupt, asyncio.CancelledError: a signal came.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    with ExitStack() as stack:
        servers = _servers(given.on, given.own_servers, stack)
        if given.on == "cluster":
            running = _on_cluster(given, folder, servers, stack)
        else:
            faults = EMBEDDED if servers is None else FAULTS_OF_OWN.get(given.own_servers, SERVERS)
            running = soak(folder, schedule(given.seed, given.minutes * 60, faults, LEASE_SECONDS), servers)
        try:
            return asyncio.run(until_told(running))
        except asyncio.CancelledError:
            _hear_no_more()
            raise


async def _on_cluster(given: argparse.Namespace, folder: Path, servers: Servers | None, stack: ExitStack) -> Observed:
    """The same with workers as Jobs. Raises NoServers."""
    try:
        programs()  # built where that was not done yet: it takes minutes
    except NotBuilt as error:
        raise NoServers(str(error)) from error
    faults = (*CLUSTER, Fault.CONSUMER_TIMEOUT) if given.own_servers == "rabbitmq3" else CLUSTER
    plan = in_turn(given.seed, given.minutes * 60, faults, LEASE_SECONDS)
    most = given.workers or (_MESSAGES_WORKERS if given.messages else _WORKERS)
    if given.messages:
        plan = messages(given.messages)
    cluster = stack.enter_context(throwaway())
    async with open_site(cluster, folder, most) as site:
        return await soak(folder, plan, servers, site)


def _interrupted(*_: object) -> None:
    _hear_no_more()
    raise KeyboardInterrupt


def _hear_no_more() -> None:
    """A second signal must not interrupt the stop."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _servers(where: str, own: str | None, stack: ExitStack) -> Servers | None:
    """What a run stands on; None: embedded defaults. Raises NoServers."""
    if where == "embedded":
        return None
    if own:
        return stack.enter_context(own_servers())[own]
    servers = servers_of_environment()
    if servers is None and where == "cluster":
        return stack.enter_context(own_servers())[_OF_A_CLUSTER]
    if servers is None:
        raise NoServers("BUILDYARD_TEST_AMQP_URL and BUILDYARD_TEST_POSTGRES_URL name no servers: try --own-servers.")
    return servers


if __name__ == "__main__":
    sys.exit(main())
