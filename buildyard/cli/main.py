"""`buildyard`: the verbs, their options and their help. Imports nothing heavy; `--help` answers at once."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildyard import __version__
from buildyard.cli.batch_verbs import batch_app
from buildyard.cli.build_verbs import artifacts_app, builds_app
from buildyard.cli.completing import answer_the_first_tab_in_zsh
from buildyard.cli.dead_verbs import dead_app
from buildyard.cli.exits import EXIT_CODES
from buildyard.cli.farm_verbs import agents_app, farm_app, queues_app
from buildyard.cli.groups import PlainGroup
from buildyard.cli.invoking import AsJson, Options, run_verb
from buildyard.cli.scaling_verbs import decisions_app, scaling_app

if TYPE_CHECKING:
    from buildyard.cli.session import Session

app = typer.Typer(
    name="buildyard",
    cls=PlainGroup,
    help="A build farm that bursts: upload sources, watch them build, fetch what they made.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(builds_app)
app.add_typer(artifacts_app, name="artifacts")
app.add_typer(batch_app, name="batch")
app.add_typer(agents_app, name="agents")
app.add_typer(queues_app, name="queues")
app.add_typer(farm_app)
app.add_typer(decisions_app, name="decisions")
app.add_typer(scaling_app)
app.add_typer(dead_app, name="dead")


def main() -> None:
    """The program `buildyard`."""
    if "_BUILDYARD_COMPLETE" in os.environ or sys.argv[1:2] in (["--install-completion"], ["--show-completion"]):
        answer_the_first_tab_in_zsh()
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
def tui(
    ctx: typer.Context,
    demo: Annotated[bool, typer.Option("--demo", help="A simulated farm; needs no server.")] = False,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="Play a recording.", show_default=False)] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the overview and leave.")] = False,
    as_json: AsJson = False,
    write: Annotated[bool, typer.Option("--write", help="Let actions change the farm.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Draw once a second at most, for slow links.")] = False,
    theme: Annotated[
        str | None, typer.Option(metavar="NAME", help="dark, light, high-contrast or colour-blind.", show_default=False)
    ] = None,
) -> None:
    """Show queues, agents, builds and the scaler on one screen."""
    from buildyard.cli.dashboard import become

    options: Options = ctx.obj
    flags = {
        "--demo": demo,
        "--once": once,
        "--json": as_json,
        "--write": write,
        "--slow": slow,
        "--debug": options.debug,
    }
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
