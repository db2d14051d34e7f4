"""`buildyard`: the verbs, their options and their help. Imports nothing heavy; `--help` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from buildyard import __version__
from buildyard.cli.dead_verbs import dead_app
from buildyard.cli.exits import EXIT_CODES
from buildyard.cli.invoking import AsJson, BuildId, Options, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

PriorityWord = Literal["low", "normal", "high", "critical"]
StrategyWord = Literal["incremental", "clean", "distributed", "cached", "canary"]

app = typer.Typer(
    name="buildyard",
    help="A build farm that bursts: upload sources, watch them build, fetch what they made.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
artifacts_app = typer.Typer(no_args_is_help=True, help="List and fetch what a build made.", rich_markup_mode=None)
app.add_typer(artifacts_app, name="artifacts")
app.add_typer(dead_app, name="dead")


def main() -> None:
    """The program `buildyard`."""
    app(prog_name="buildyard")


def _version(asked: bool) -> None:
    if asked:
        print(f"buildyard {__version__}")
        raise typer.Exit


@app.callback()
def _before(
    ctx: typer.Context,
    api_url: Annotated[
        str | None, typer.Option("--api-url", metavar="URL", help="Where the producer listens [BUILDYARD_API_URL].")
    ] = None,
    scaler_url: Annotated[
        str | None,
        typer.Option("--scaler-url", metavar="URL", help="Where the scaler listens [BUILDYARD_SCALER_URL]."),
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TOKEN", help="What to identify with [BUILDYARD_TOKEN].")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error arose.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    ctx.obj = Options(api_url, scaler_url, token, debug)


@app.command()
def local(
    ctx: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for all its data [BUILDYARD_DATA_DIR].", show_default=False),
    ] = None,
    open_port: Annotated[bool, typer.Option("--open-port", help="Listen on free ports.")] = False,
) -> None:
    """Run a whole farm on this machine, in the foreground, until Ctrl-C."""

    async def verb(session: Session) -> int:
        from buildyard.cli.foreground import run_local

        return await run_local(session, data_dir, open_port=open_port)

    run_verb(ctx, verb)


@app.command()
def submit(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE|GIT-URL", help=".zip, .tar.gz, .tar.zst, .csv, or a URL.")],
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="The project's name; else that of the source.")
    ] = None,
    pool: Annotated[str, typer.Option(metavar="NAME", help="The pool that builds it.")] = "linux",
    priority: Annotated[
        PriorityWord,
        typer.Option(metavar="low|normal|high|critical", case_sensitive=False, help="Which waiting build goes first."),
    ] = "normal",
    strategy: Annotated[
        StrategyWord,
        typer.Option(
            metavar="WORD",
            case_sensitive=False,
            help="How it is planned: incremental, clean, distributed, cached or canary.",
        ),
    ] = "incremental",
    timeout: Annotated[float, typer.Option(metavar="MINUTES", help="When it is stopped.")] = 60,
    ref: Annotated[str, typer.Option(metavar="REF", help="Branch, tag or commit of a GIT-URL.")] = "HEAD",
    configuration: Annotated[str, typer.Option(metavar="NAME", help="Such as Release or Debug.")] = "Release",
    properties: Annotated[
        list[str] | None, typer.Option("--property", "-p", metavar="NAME=VALUE", help="A build property; repeatable.")
    ] = None,
    toolchain: Annotated[str | None, typer.Option(metavar="NAME", help="Instead of the one that is found.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the log and wait for the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a source, or name a repository, and build it."""

    async def verb(session: Session) -> int:
        from buildyard.cli import submit as work

        wanted = work.Wanted(
            source=source,
            project=project,
            pool=pool,
            priority=priority,
            strategy=strategy,
            timeout_minutes=timeout,
            ref=ref,
            configuration=configuration,
            properties=tuple(properties or ()),
            toolchain=toolchain,
        )
        return await work.submit(session, wanted, follow=follow, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def builds(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only builds in this state, such as failed.")
    ] = None,
    project: Annotated[str | None, typer.Option(metavar="NAME", help="Only builds of this project.")] = None,
    pool: Annotated[str | None, typer.Option(metavar="NAME", help="Only builds of this pool.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List builds, newest first."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.list_builds(session, status, project, pool, limit, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def show(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """Show one build: its stages, tests, failing tests and reason."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.show(session, build_id, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def logs(
    ctx: typer.Context,
    build_id: BuildId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the build ends.")] = False,
    stage: Annotated[str | None, typer.Option(metavar="NAME", help="Only lines of this stage, such as Test.")] = None,
    tail: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the last lines, so many.")] = None,
) -> None:
    """Print a build's log."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.logs(session, build_id, follow=follow, stage=stage, tail=tail)

    run_verb(ctx, verb)


@artifacts_app.command("list")
def artifacts_list(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """List a build's artifacts with their sha256."""

    async def verb(session: Session) -> int:
        from buildyard.cli import artifacts as work

        return await work.list_artifacts(session, build_id, as_json=as_json)

    run_verb(ctx, verb)


@artifacts_app.command("get")
def artifacts_get(
    ctx: typer.Context,
    build_id: BuildId,
    name: Annotated[
        list[str] | None, typer.Option("--name", "-n", help="Only this name or path; repeatable, * and ? work.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to put them.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Download a build's artifacts and verify each against its sha256."""

    async def verb(session: Session) -> int:
        from buildyard.cli import artifacts as work

        return await work.get_artifacts(session, build_id, tuple(name or ()), output, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def cancel(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """Cancel a build that waits or runs."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.cancel(session, build_id, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def retry(
    ctx: typer.Context,
    build_id: BuildId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the log and wait for the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build an ended build again; of a batch that did not succeed, only what is left of its rows."""

    async def verb(session: Session) -> int:
        from buildyard.cli import submit as work

        return await work.retry(session, build_id, follow=follow, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def agents(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the agents: who works, who idles, who is gone."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.agents(session, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def queues(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List the pools: what waits, what runs, and what the broker's own counts say."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.queues(session, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def decisions(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many at most.")] = 20,
    pool: Annotated[str | None, typer.Option(metavar="NAME", help="Only those about this pool.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that only repeat the one before.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what the scaler decided and why, newest first."""

    async def verb(session: Session) -> int:
        from buildyard.cli import overview as work

        return await work.decisions(session, limit, pool, every=every, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def doctor(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check this machine and the farm, with a remedy for whatever is wrong."""

    async def verb(session: Session) -> int:
        from buildyard.cli import doctor as work

        return await work.doctor(session, as_json=as_json)

    run_verb(ctx, verb)


@app.command()
def tui(
    ctx: typer.Context,
    demo: Annotated[bool, typer.Option("--demo", help="A simulated farm; needs no server.")] = False,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="Play a recording.", show_default=False)] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the overview and leave.")] = False,
    as_json: AsJson = False,
    slow: Annotated[bool, typer.Option("--slow", help="Draw once a second at most, for slow links.")] = False,
    theme: Annotated[
        str | None, typer.Option(metavar="NAME", help="dark, light, high-contrast or colour-blind.", show_default=False)
    ] = None,
) -> None:
    """Show queues, agents, builds and the scaler on one screen."""
    from buildyard.cli.dashboard import become

    options: Options = ctx.obj
    flags = {"--demo": demo, "--once": once, "--json": as_json, "--slow": slow, "--debug": options.debug}
    values = {"--replay": replay, "--theme": theme}
    become(
        [flag for flag, given in flags.items() if given]
        + [part for name, value in values.items() if value is not None for part in (name, str(value))],
        {
            "BUILDYARD_API_URL": options.api_url,
            "BUILDYARD_SCALER_URL": options.scaler_url,
            "BUILDYARD_TOKEN": options.token,
        },
    )
