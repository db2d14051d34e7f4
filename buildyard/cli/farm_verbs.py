"""The verbs about the farm: agents, queues, doctor; their options and their help. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from buildyard.cli.completing import agent_names, pool_names
from buildyard.cli.invoking import AsJson, Columns, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

farm_app = typer.Typer(rich_markup_mode=None)
agents_app = typer.Typer(
    invoke_without_command=True, help="List the agents, or ask one to leave or to stay.", rich_markup_mode=None
)
queues_app = typer.Typer(
    invoke_without_command=True, help="List the pools, or pause and resume one.", rich_markup_mode=None
)

PoolName = Annotated[str, typer.Argument(metavar="NAME", help="The pool's name.", autocompletion=pool_names)]
Reason = Annotated[
    str, typer.Option("--reason", "-r", metavar="TEXT", help="Why, for whoever asks later.", show_default=False)
]


@agents_app.callback()
def agents(ctx: typer.Context, columns: Columns = None, as_json: AsJson = False) -> None:
    """List the agents: who works, who idles, who is gone; or ask one to leave, or to stay."""
    if ctx.invoked_subcommand is not None:
        return

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.agents(session, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@agents_app.command()
def drain(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The agent's name, as listed.", autocompletion=agent_names)
    ],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Ask an agent to finish the job in its hands and leave; no job is lost."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.drain(session, name, reason, as_json=as_json)

    run_verb(ctx, verb)


@agents_app.command()
def undrain(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The agent's name, as listed.", autocompletion=agent_names)
    ],
    as_json: AsJson = False,
) -> None:
    """Let an agent that was asked to leave, and has not yet, take jobs again."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.undrain(session, name, as_json=as_json)

    run_verb(ctx, verb)


@queues_app.callback()
def queues(ctx: typer.Context, columns: Columns = None, as_json: AsJson = False) -> None:
    """List the pools: what waits, what runs, what the broker counts; or pause and resume one."""
    if ctx.invoked_subcommand is not None:
        return

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.queues(session, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@queues_app.command()
def pause(ctx: typer.Context, name: PoolName, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a pool hand out no more jobs: agents finish what they have, new builds wait."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.set_intake(session, name, reason, paused=True, as_json=as_json)

    run_verb(ctx, verb)


@queues_app.command()
def resume(ctx: typer.Context, name: PoolName, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a paused pool hand out what waits."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.set_intake(session, name, reason, paused=False, as_json=as_json)

    run_verb(ctx, verb)


@farm_app.command()
def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check this machine and the farm, with a remedy for whatever is wrong."""

    async def verb(session: Session) -> int:
        from buildyard.cli import doctor as work

        return await work.doctor(session, as_json=as_json)

    run_verb(ctx, verb)
