"""`buildyard batch …`: its verbs, their options and their help. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from buildyard.cli.build_verbs import Key, Pool, PriorityOption, Project, Timeout
from buildyard.cli.invoking import AsJson, BuildId, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

FormatWord = Literal["csv", "jsonl"]

batch_app = typer.Typer(
    no_args_is_help=True, help="Run the rows of a CSV as jobs, and fetch their results.", rich_markup_mode=None
)


@batch_app.command()
def run(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv with a heading line.")],
    rows_per_job: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=100_000, help="Rows that a worker takes at once.")
    ] = None,
    project: Project = None,
    pool: Pool = "linux",
    priority: PriorityOption = "normal",
    timeout: Timeout = 60,
    key: Key = "",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the id and leave; do not wait.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to put all results in the end.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a CSV, run its rows, and wait for the end; exits with 1 when a row failed."""

    async def verb(session: Session) -> int:
        from buildyard.cli import batch as work
        from buildyard.cli.submit import Wanted

        wanted = Wanted(
            source=str(source),
            project=project,
            pool=pool,
            priority=priority,
            timeout_minutes=timeout,
            rows_per_job=rows_per_job,
            key=key,
        )
        return await work.run(session, wanted, output, detach=detach, as_json=as_json)

    run_verb(ctx, verb)


@batch_app.command()
def results(
    ctx: typer.Context,
    build_id: BuildId,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A file instead of standard output.", show_default=False),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only rows that failed.")] = False,
    form: Annotated[
        FormatWord | None,
        typer.Option("--format", metavar="csv|jsonl", help="What it is written as; else as FILE is called, or csv."),
    ] = None,
) -> None:
    """Print or save the results of a batch, row by row, also while it runs."""

    async def verb(session: Session) -> int:
        from buildyard.cli import batch as work

        return await work.results(session, build_id, output, form, errors_only=errors)

    run_verb(ctx, verb, paged=output is None)
