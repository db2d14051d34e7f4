"""`buildyard dead …`: its verbs, their options and their help. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildyard.cli.invoking import AsJson, BuildId, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

dead_app = typer.Typer(
    no_args_is_help=True, help="Deal with builds that the farm failed: requeue or drop them.", rich_markup_mode=None
)

Project = Annotated[str | None, typer.Option(metavar="NAME", help="Only builds of this project.")]
Pool = Annotated[str | None, typer.Option(metavar="NAME", help="Only builds of this pool.")]
Code = Annotated[str | None, typer.Option(metavar="WORD", help="Only builds with this reason code, as worker_lost.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only those that died since: 2026-11-21T09:30, or 90m, 2h, 3d ago.")
]


@dead_app.command("list")
def list_(
    ctx: typer.Context,
    project: Project = None,
    pool: Pool = None,
    code: Code = None,
    since: Since = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that were requeued or dropped.")] = False,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the newest build first."""

    async def verb(session: Session) -> int:
        from buildyard.cli import dead as work

        which = work.which_letters(project, pool, code, since)
        return await work.list_letters(session, which, limit, every=every, as_json=as_json)

    run_verb(ctx, verb)


@dead_app.command()
def show(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """Show one: why it died, every attempt, what happened, and the last lines of its log."""

    async def verb(session: Session) -> int:
        from buildyard.cli import dead as work

        return await work.show(session, build_id, as_json=as_json)

    run_verb(ctx, verb)


@dead_app.command()
def requeue(
    ctx: typer.Context,
    build_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of dead letters; without, options say which.")
    ] = None,
    project: Project = None,
    pool: Pool = None,
    code: Code = None,
    since: Since = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build dead letters again, each as a new build; of a batch, only rows without a good result."""

    async def verb(session: Session) -> int:
        from buildyard.cli import dead as work

        which = work.which_letters(project, pool, code, since)
        return await work.requeue(session, tuple(build_ids or ()), which, every=every, as_json=as_json)

    run_verb(ctx, verb)


@dead_app.command()
def drop(
    ctx: typer.Context,
    build_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of dead letters.")],
    reason: Annotated[str, typer.Option("--reason", "-r", metavar="TEXT", help="Why, for whoever asks later.")],
    as_json: AsJson = False,
) -> None:
    """Give dead letters up, with a reason; their builds stay."""

    async def verb(session: Session) -> int:
        from buildyard.cli import dead as work

        return await work.drop(session, tuple(build_ids), reason, as_json=as_json)

    run_verb(ctx, verb)
