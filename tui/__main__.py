"""`python -m tui`: the dashboard, or its overview as text."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from buildyard.cli.exits import INTERRUPTED, OK, perform
from buildyard.errors import InvalidSettings
from buildyard.settings import load_settings
from tui.configuration import configuration_file, load
from tui.source import Source
from tui.terminals import shows_colours, shows_utf8
from tui.themes import theme_name

if TYPE_CHECKING:
    from tui.app import FarmApp

_HUNG_UP = 129
_MOST_SECONDS_TO_END = 5.0
_LOOK_SECONDS = 1.0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with 2 when they are wrong."""
    parser = argparse.ArgumentParser(
        "buildyard tui", description="Queues, agents, builds and the scaler on one screen."
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--demo", action="store_true", help="a simulated farm; needs no server")
    source.add_argument("--replay", metavar="FILE", type=Path, help="play a recording")
    parser.add_argument("--once", action="store_true", help="print the overview and leave")
    parser.add_argument("--json", action="store_true", help="with --once: JSON for programs")
    parser.add_argument("-w", "--watch", action="store_true", help="with --once: again every two seconds")
    parser.add_argument("--write", action="store_true", help="let actions change the farm; else it is only looked at")
    parser.add_argument("--slow", action="store_true", help="draw once a second at most, for slow links")
    parser.add_argument("--theme", metavar="NAME", help="dark, light, high-contrast or colour-blind")
    parser.add_argument("--api-url", metavar="URL", help="where the producer listens [BUILDYARD_API_URL]")
    parser.add_argument("--scaler-url", metavar="URL", help="where the scaler listens [BUILDYARD_SCALER_URL]")
    parser.add_argument("--browser", action="store_true", help=argparse.SUPPRESS)  # as textual-serve starts it
    parser.add_argument("--debug", action="store_true", help="show where an error arose")
    options = parser.parse_args(arguments)
    if (options.json or options.watch) and not options.once:
        parser.error("--json and --watch go with --once")
    if options.write and (options.demo or options.replay is not None or options.once or options.browser):
        parser.error("--write needs a farm and a terminal: it goes neither with --demo and --replay nor with --once")
    return options


async def source_of(options: argparse.Namespace) -> Source:
    """The source that was asked for. Raises InvalidSettings, InvalidRequest."""
    if options.demo:
        from tui.source.demo import DemoSource  # noqa: PLC0415 - the others start faster without it

        return DemoSource()
    if options.replay is not None:
        from tui.source.replay import Replay  # noqa: PLC0415

        return await Replay.of(options.replay)
    return farm_of(options)


def farm_of(options: argparse.Namespace) -> Source:
    """The farm itself. Raises InvalidSettings."""
    from tui.source.live import LiveSource  # noqa: PLC0415

    given = {"api_url": options.api_url, "scaler_url": options.scaler_url}
    settings = load_settings(**{name: value for name, value in given.items() if value})
    return LiveSource(settings.api, settings.scaler, settings.token)


async def run(options: argparse.Namespace) -> int:
    """Do what was asked for; gives the exit code."""
    configuration = load(configuration_file(os.environ))
    if options.theme:
        configuration = replace(configuration, theme=theme_name(options.theme))
    source = await source_of(options)
    if options.once:
        from tui.once import print_once  # noqa: PLC0415 - needs no Textual app

        width = shutil.get_terminal_size((120, 40)).columns
        utf8 = shows_utf8(sys.stdout.encoding or "", os.environ)
        await print_once(source, as_json=options.json, again=options.watch, width=width, utf8=utf8)
        return OK
    if options.browser:
        _end_with_parent()
    elif not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") == "dumb":
        raise InvalidSettings(
            "The dashboard needs a terminal.", remedy="`buildyard tui --once` prints the overview without one."
        )
    from tui.app import FarmApp  # noqa: PLC0415 - Textual is not needed for the other ways

    utf8 = options.browser or shows_utf8(sys.stderr.encoding or "", os.environ)  # where Textual writes
    colours = options.browser or shows_colours(os.environ, sys.stdout.fileno())
    live = partial(farm_of, options) if options.replay is not None else None
    app = FarmApp(
        source, configuration, slow=options.slow, writable=options.write, utf8=utf8, colours=colours, live=live
    )
    ended = _Ended(app)
    ended.listen(to_terminal=not options.browser)
    await app.run_async()
    return ended.code or app.return_code or OK


def _end_with_parent() -> None:
    """End as soon as whoever started this is gone: no terminal tells it so."""
    parent, loop = os.getppid(), asyncio.get_running_loop()

    def look() -> None:
        if os.getppid() != parent:
            os._exit(_HUNG_UP)
        loop.call_later(_LOOK_SECONDS, look)

    look()


class _Ended:
    """Signals that ask for the end, and a terminal that is gone: the app leaves in order, within bounded time.

    Who writes to a terminal that is gone may be blocked for ever, the event loop with it. So nothing here waits for
    the loop: signals are heard between two steps of the interpreter, and threads look at the terminal and at the time.
    """

    def __init__(self, app: FarmApp) -> None:
        self._app = app
        self._loop = asyncio.get_running_loop()
        self.code = OK

    def listen(self, *, to_terminal: bool) -> None:
        """From now on."""
        for name, code in (("SIGHUP", _HUNG_UP), ("SIGTERM", 128 + 15), ("SIGINT", INTERRUPTED)):
            number = getattr(signal, name, None)
            if number is not None:
                signal.signal(number, partial(self._told, code))
        if to_terminal:
            threading.Thread(target=self._watch, name="terminal", daemon=True).start()

    def _told(self, code: int, _number: int, _frame: object) -> None:
        if code == INTERRUPTED and self._app.paging:
            return  # ctrl-C is the pager's own affair while it has the terminal
        self._end(code)

    def _watch(self) -> None:
        """A terminal that is gone says so by a signal only to whom it is the controlling one."""
        terminal = sys.__stdin__.fileno() if sys.__stdin__ else 0
        while os.isatty(terminal):
            time.sleep(_LOOK_SECONDS)
        self._end(_HUNG_UP)

    def _end(self, code: int) -> None:
        self.code = code
        last = threading.Timer(_MOST_SECONDS_TO_END, os._exit, (code,))
        last.daemon = True
        last.start()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._app.exit)


def main() -> None:
    """The process."""
    options = parsed(sys.argv[1:])
    sys.exit(perform(lambda: run(options), debug=options.debug))


if __name__ == "__main__":
    main()
