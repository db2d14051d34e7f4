"""`python -m tui.serving --socket FILE`: dashboards for browsers, by textual-serve, over a socket file.

The scaler starts this, checks who asks, and passes requests on. It ends when its standard input does: whoever started
it is gone then. Each visitor has a dashboard of their own, which is read-only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from pathlib import Path

from aiohttp import web
from textual_serve.server import Server

_END_SECONDS = 3.0
_TITLE = "Buildyard"


class BrowserServer(Server):
    """textual-serve whose page points to the name that its visitor used, and that says nothing at its start."""

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing."""

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page; its addresses are those of the visitor's own Host."""
        self.public_url = f"http://{request.host}"
        answer: web.StreamResponse = await super().handle_index(request)
        return answer


def dashboard_command() -> str:
    """The command line of one visitor's dashboard; the shell that textual-serve starts gives way to it."""
    return "exec " + shlex.join([sys.executable, "-m", "tui", "--browser"])


async def serve(socket: Path) -> None:
    """Serve until standard input ends."""
    server = BrowserServer(dashboard_command(), title=_TITLE)
    runner = web.AppRunner(await server._make_app(), shutdown_timeout=_END_SECONDS)  # noqa: SLF001 - its only way without a port
    await runner.setup()
    os.umask(0o077)
    await web.UnixSite(runner, str(socket)).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(ended), sys.stdin)
    while await ended.read(4096):
        pass
    await runner.cleanup()


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser("python -m tui.serving", description="Dashboards for browsers.")
    parser.add_argument("--socket", type=Path, required=True, metavar="FILE", help="where to listen")
    asyncio.run(serve(parser.parse_args().socket))


if __name__ == "__main__":
    main()
