"""The verbs about scaling: decisions, why, simulate, load; their options and their help. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildyard.cli.invoking import AsJson, Columns, OfPool, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

scaling_app = typer.Typer(rich_markup_mode=None)
decisions_app = typer.Typer(
    invoke_without_command=True,
    help="List what the scaler decided and why, or decide its record again.",
    rich_markup_mode=None,
)

Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only from then on: 2026-11-21T09:30, or 90m, 2h, 3d ago.", show_default=False),
]


@decisions_app.callback()
def decisions(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 20,
    pool: OfPool = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only up to then.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that only repeat the one before.")] = False,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """List what the scaler decided and why, newest first; or decide its record again."""
    if ctx.invoked_subcommand is not None:
        return

    async def verb(session: Session) -> int:
        from buildyard.cli import decisions as work

        wanted = work.wanted(limit, pool, since, until, every=every)
        return await work.list_decisions(session, wanted, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@decisions_app.command()
def verify(
    ctx: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Recordings (.jsonl), or folders of them; none: ask the scaler."),
    ] = None,
    since: Since = None,
    as_json: AsJson = False,
) -> None:
    """Decide recorded views again; 0 when every plan comes out the same."""

    async def verb(_: Session) -> int:
        from buildyard.cli.decisions import become_verify

        become_verify(ctx.obj, files or (), since, as_json=as_json)

    run_verb(ctx, verb)


@scaling_app.command()
def simulate(
    ctx: typer.Context,
    load: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="steady, burst, trickle, day, heavy, history, or a .csv file.")
    ] = "burst",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:A=1,B=2]", help="burst or elastic, with numbers; repeatable; else both as they are."
        ),
    ] = None,
    hours: Annotated[float, typer.Option(metavar="N", help="How long jobs come, or how far history goes back.")] = 2,
    per_hour: Annotated[float, typer.Option(metavar="N", help="Jobs an hour, on average.")] = 120,
    job_seconds: Annotated[float, typer.Option(metavar="N", help="How long the median job takes.")] = 60,
    start_seconds: Annotated[
        str, typer.Option(metavar="A,B,…", help="How long workers take to start, in turn.", show_default=False)
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", help="Equal seeds give equal loads.")] = 1,
    pool: Annotated[str, typer.Option(metavar="NAME", help="The pool whose history is used.")] = "linux",
    price: Annotated[float, typer.Option(metavar="N", help="What a worker costs an hour.")] = 0,
    svg: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also draw it into this file.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a load through the scaler's own decisions in simulated time, and compare policies."""

    async def verb(_: Session) -> int:
        from buildyard.cli.decisions import become_scaler

        values = {
            "--load": load,
            "--hours": hours,
            "--per-hour": per_hour,
            "--job-seconds": job_seconds,
            "--start-seconds": start_seconds,
            "--seed": seed,
            "--pool": pool,
            "--price": price,
            **({"--svg": svg} if svg else {}),
        }
        words = [f"{name}={value}" for name, value in values.items()]
        words += [f"--policy={one}" for one in policy or ()]
        become_scaler(ctx.obj, "simulate", [*words, *(["--json"] if as_json else [])])

    run_verb(ctx, verb)


@scaling_app.command()
def load(
    ctx: typer.Context,
    rate: Annotated[float, typer.Option(metavar="N", help="Builds a second, on average; they come at random.")] = 1,
    seconds: Annotated[float, typer.Option(metavar="N", help="For how long.")] = 30,
    mix: Annotated[str, typer.Option(metavar="KIND=N,…", help="Kinds with weights: project, csv.")] = "project",
    job_seconds: Annotated[float, typer.Option(metavar="N", min=0, help="How long each build takes.")] = 0,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Rows of each csv.")] = 10,
    pool: Annotated[str, typer.Option(metavar="NAME", help="The pool that builds it.")] = "linux",
    seed: Annotated[int, typer.Option(metavar="N", help="Equal seeds give equal loads.")] = 1,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the builds, and tell how long they waited.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send builds at a rate, whatever the answers, and tell how long the farm took to accept them."""

    async def verb(session: Session) -> int:
        from buildyard.cli import load as work

        wanted = work.Wanted(rate, seconds, work.mix_of(mix), job_seconds, rows, pool, seed, wait)
        return await work.load(session, wanted, as_json=as_json)

    run_verb(ctx, verb)


@scaling_app.command()
def why(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[workers|build ID|pool NAME]", help="What to explain; nothing: the workers of all pools."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why there are so many workers and why none starts, or why a build waits."""

    async def verb(session: Session) -> int:
        from buildyard.cli import why as work

        return await work.why(session, tuple(words or ()), as_json=as_json)

    run_verb(ctx, verb)
