"""The verbs about builds: their options and their help. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from buildyard.cli.completing import pool_names
from buildyard.cli.invoking import AsJson, BuildId, Columns, Follow, Limit, OfPool, OfProject, run_verb

if TYPE_CHECKING:
    from buildyard.cli.session import Session

PriorityWord = Literal["low", "normal", "high", "critical"]
StrategyWord = Literal["incremental", "clean", "distributed", "cached", "canary"]
CaseWord = Literal["passed", "failed", "skipped"]
ArchiveWord = Literal["tar.zst", "tar.gz", "zip"]

builds_app = typer.Typer(rich_markup_mode=None)
artifacts_app = typer.Typer(no_args_is_help=True, help="List and fetch what a build made.", rich_markup_mode=None)

Project = Annotated[str | None, typer.Option(metavar="NAME", help="The project's name; else that of the source.")]
Pool = Annotated[str, typer.Option(metavar="NAME", help="The pool that builds it.", autocompletion=pool_names)]
PriorityOption = Annotated[
    PriorityWord,
    typer.Option(metavar="low|normal|high|critical", case_sensitive=False, help="Which waiting build goes first."),
]
Timeout = Annotated[float, typer.Option(metavar="MINUTES", help="When it is stopped.")]
Key = Annotated[
    str,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Sent again under the same key, the same request is done once; else one is made for each call.",
        show_default=False,
    ),
]


Source = Annotated[
    str,
    typer.Argument(
        metavar="DIR|FILE|GIT-URL", help="A folder, a .zip, .tar.gz, .tar.zst or .csv, or a repository's address."
    ),
]
StrategyOption = Annotated[
    StrategyWord | None,
    typer.Option(
        metavar="WORD",
        case_sensitive=False,
        help="How it is planned: incremental, clean, distributed, cached or canary.",
    ),
]
Ref = Annotated[str, typer.Option("--ref", "--branch", "-b", metavar="REF", help="Branch, tag or commit of a GIT-URL.")]
Submodules = Annotated[bool, typer.Option("--submodules", help="Fetch the submodules of a GIT-URL, too.")]
Configuration = Annotated[str, typer.Option(metavar="NAME", help="Such as Release or Debug.")]
Properties = Annotated[
    list[str] | None, typer.Option("--property", "-p", metavar="NAME=VALUE", help="A build property; repeatable.")
]
Toolchain = Annotated[str | None, typer.Option(metavar="NAME", help="Instead of the one that is found.")]
NeedsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--needs",
        metavar="TOOL[VERSIONS]",
        help="What the agent must have, such as 'dotnet>=8', 'memory=4 GiB' or 'cores=2'; repeatable.",
    ),
]
Archive = Annotated[ArchiveWord, typer.Option(metavar="tar.zst|tar.gz|zip", help="What a folder is packed as.")]


@builds_app.command()
def submit(
    ctx: typer.Context,
    source: Source,
    project: Project = None,
    pool: Pool = "linux",
    priority: PriorityOption = "normal",
    strategy: StrategyOption = None,
    timeout: Timeout = 60,
    ref: Ref = "HEAD",
    submodules: Submodules = False,
    configuration: Configuration = "Release",
    properties: Properties = None,
    toolchain: Toolchain = None,
    needs: NeedsOption = None,
    archive: Archive = "tar.zst",
    key: Key = "",
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Upload a folder or a file, or name a repository, and build it.

    A folder goes without what .gitignore, .git/info/exclude and .buildyardignore name, and without .git.
    """

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
            submodules=submodules,
            configuration=configuration,
            properties=tuple(properties or ()),
            toolchain=toolchain,
            needs=tuple(needs or ()),
            archive=archive,
            key=key,
        )
        return await work.submit(session, wanted, follow=follow, as_json=as_json)

    run_verb(ctx, verb)


@builds_app.command()
def builds(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only builds in this state, such as failed.")
    ] = None,
    project: OfProject = None,
    pool: OfPool = None,
    limit: Limit = 20,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """List builds, newest first."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.list_builds(session, status, project, pool, limit, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@builds_app.command()
def show(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """Show one build: its stages, tests, first errors, reason, and what to try next."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.show(session, build_id, as_json=as_json)

    run_verb(ctx, verb, paged=True)


@builds_app.command("tests")
def of_tests(
    ctx: typer.Context,
    build_id: BuildId,
    status: Annotated[
        CaseWord | None,
        typer.Option(metavar="passed|failed|skipped", case_sensitive=False, help="Only tests that ended so."),
    ] = None,
    suite: Annotated[str | None, typer.Option(metavar="NAME", help="Only tests of this suite.")] = None,
    suites: Annotated[bool, typer.Option("--suites", help="The suites instead of their tests.")] = False,
    slowest: Annotated[bool, typer.Option("--slowest", help="Those first that took longest.")] = False,
    limit: Limit = 100,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """List a build's tests by name, those that failed first."""

    async def verb(session: Session) -> int:
        from buildyard.cli import testing as work

        wanted = work.Wanted(build_id, status, suite, limit, suites, slowest)
        return await work.list_tests(session, wanted, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@builds_app.command()
def logs(
    ctx: typer.Context,
    build_id: BuildId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the build ends.")] = False,
    stage: Annotated[str | None, typer.Option(metavar="NAME", help="Only lines of this stage, such as Test.")] = None,
    tail: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the last lines, so many.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only lines since: 2026-11-21T09:30, or 30s, 5m, 2h ago.")
    ] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="The time before each line.")] = False,
) -> None:
    """Print a build's log."""

    async def verb(session: Session) -> int:
        from buildyard.cli import logs as work

        wanted = work.Wanted(build_id, follow, stage, tail, work.moment(since), timestamps)
        return await work.logs(session, wanted)

    run_verb(ctx, verb, paged=not follow)


@builds_app.command()
def watch(
    ctx: typer.Context,
    build_id: BuildId,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End with the first stage or row that fails; the build goes on.")
    ] = False,
    exit_status: Annotated[
        bool, typer.Option("--exit-status", help="Exit with 1 when the build does not succeed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Watch a build's stages until it ends: live on a terminal, else a line for every change."""

    async def verb(session: Session) -> int:
        from buildyard.cli import watching as work

        return await work.watch(session, build_id, fail_fast=fail_fast, exit_status=exit_status, as_json=as_json)

    run_verb(ctx, verb)


@builds_app.command()
def cancel(ctx: typer.Context, build_id: BuildId, as_json: AsJson = False) -> None:
    """Cancel a build that waits or runs."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.cancel(session, build_id, as_json=as_json)

    run_verb(ctx, verb)


@builds_app.command()
def retry(
    ctx: typer.Context,
    build_id: BuildId,
    failed_only: Annotated[
        bool | None,
        typer.Option("--failed-only/--all", help="Only what failed, or all of it; else what can be is taken over."),
    ] = None,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Build an ended build again; of a batch that did not succeed, only what is left of its rows."""

    async def verb(session: Session) -> int:
        from buildyard.cli import submit as work

        return await work.retry(session, build_id, failed_only=failed_only, follow=follow, as_json=as_json)

    run_verb(ctx, verb)


@builds_app.command()
def priority(
    ctx: typer.Context,
    build_id: BuildId,
    word: Annotated[PriorityWord, typer.Argument(metavar="low|normal|high|critical", case_sensitive=False)],
    as_json: AsJson = False,
) -> None:
    """Let a waiting build go before or after others."""

    async def verb(session: Session) -> int:
        from buildyard.cli import builds as work

        return await work.set_priority(session, build_id, word, as_json=as_json)

    run_verb(ctx, verb)


@artifacts_app.command("list")
def artifacts_list(ctx: typer.Context, build_id: BuildId, columns: Columns = None, as_json: AsJson = False) -> None:
    """List a build's artifacts with their sha256."""

    async def verb(session: Session) -> int:
        from buildyard.cli import artifacts as work

        return await work.list_artifacts(session, build_id, as_json=as_json)

    run_verb(ctx, verb, columns=columns, paged=True)


@artifacts_app.command("get")
def artifacts_get(
    ctx: typer.Context,
    build_id: BuildId,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these names or paths; * and ? work.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to put them.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Download a build's artifacts and verify each against its sha256.

    A file has its name once it is whole and verified; called again, a download that broke off goes on.
    """

    async def verb(session: Session) -> int:
        from buildyard.cli import artifacts as work

        return await work.get_artifacts(session, build_id, tuple(names or ()), output, as_json=as_json)

    run_verb(ctx, verb)
