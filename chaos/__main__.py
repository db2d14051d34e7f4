"""`python -m chaos`: a soak under faults. Exit codes: 0 every promise held, 1 one was broken, 2 usage."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from chaos.page import as_json, rows_of, table
from chaos.plan import EMBEDDED, OWN_SERVERS, SERVERS, schedule
from chaos.soak import soak
from chaos.verdict import judge
from chaos.yard import LEASE_SECONDS, servers_of_environment


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Builds under faults, and a ledger of both.")
    parser.add_argument("--seed", type=int, default=1, help="the schedule: the same seed, the same orders and strikes")
    parser.add_argument("--minutes", type=float, default=5, help="how long it strikes (5)")
    parser.add_argument(
        "--on",
        choices=("embedded", "servers"),
        default="embedded",
        help="servers: RabbitMQ and PostgreSQL at BUILDYARD_TEST_AMQP_URL and BUILDYARD_TEST_POSTGRES_URL",
    )
    parser.add_argument(
        "--server-pids",
        type=Path,
        help="a file of lines NAME PID, as .ci/servers writes it: rabbitmq3 and postgres are killed and restarted too",
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    given = parser.parse_args()
    servers = servers_of_environment(given.server_pids) if given.on == "servers" else None
    if given.on == "servers" and servers is None:
        parser.error("BUILDYARD_TEST_AMQP_URL and BUILDYARD_TEST_POSTGRES_URL name no servers")
    faults = EMBEDDED if servers is None else OWN_SERVERS if servers.own else SERVERS
    folder = Path(tempfile.mkdtemp(prefix="buildyard-chaos-"))
    observed = asyncio.run(soak(folder, schedule(given.seed, given.minutes * 60, faults, LEASE_SECONDS), servers))
    for server in servers.own.values() if servers else ():
        server.end()
    verdict = judge(observed)
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


if __name__ == "__main__":
    sys.exit(main())
