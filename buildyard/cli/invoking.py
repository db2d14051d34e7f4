"""How a verb is run, and the options that many verbs share. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildyard.cli.completing import build_ids, pool_names
from buildyard.cli.exits import perform

if TYPE_CHECKING:
    from buildyard.cli.session import Session

BuildId = Annotated[
    str,
    typer.Argument(metavar="ID", help="The build's id, as `buildyard builds` shows it.", autocompletion=build_ids),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs instead of a table.")]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B,…", help="Only these columns, in this order.", show_default=False),
]
Limit = Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show the log and wait for the end.")]
OfProject = Annotated[str | None, typer.Option(metavar="NAME", help="Only builds of this project.")]
OfPool = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only builds of this pool.", autocompletion=pool_names)
]


@dataclass(frozen=True)
class Options:
    """The options that stand before the verb."""

    api_url: str | None
    scaler_url: str | None
    token: str | None
    debug: bool


def run_verb(
    ctx: typer.Context,
    verb: Callable[[Session], Coroutine[Any, Any, int]],
    *,
    columns: str | None = None,
    paged: bool = False,
) -> None:
    """Run a verb's work in a session of the options before it, and leave with its exit code.

    Args:
        ctx: what typer hands every verb.
        verb: the work.
        columns: the columns that were asked for, separated by commas; None for all.
        paged: whether a terminal shows the output page by page, where PAGER names a program for it.
    """
    options: Options = ctx.obj

    async def work() -> int:
        from buildyard.cli.output import Output, column_names
        from buildyard.cli.session import Session

        output = Output(columns=column_names(columns))
        return await verb(Session(options.api_url, options.scaler_url, options.token, output))

    sys.exit(perform(work, debug=options.debug, paged=paged))
