"""How a verb is run, and the options that many verbs share. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildyard.cli.exits import perform

if TYPE_CHECKING:
    from buildyard.cli.session import Session

BuildId = Annotated[str, typer.Argument(metavar="ID", help="The build's id, as `buildyard builds` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]


@dataclass(frozen=True)
class Options:
    """The options that stand before the verb."""

    api_url: str | None
    scaler_url: str | None
    token: str | None
    debug: bool


def run_verb(ctx: typer.Context, verb: Callable[[Session], Coroutine[Any, Any, int]]) -> None:
    """Run a verb's work in a session of the options before it, and leave with its exit code."""
    options: Options = ctx.obj

    async def work() -> int:
        from buildyard.cli.session import Session

        return await verb(Session(options.api_url, options.scaler_url, options.token))

    sys.exit(perform(work, debug=options.debug))
