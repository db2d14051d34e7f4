"""What a shell completes: ids and names that the farm knows, asked for quickly or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from buildyard.client import ProducerClient

_SECONDS = 1.0
_BUILDS = 30

_ZSH_REGISTERS = "compdef %(complete_func)s %(prog_name)s"
_ZSH_ANSWERS_TOO = f"""\
if [ "$funcstack[1]" = "_%(prog_name)s" ]; then
  %(complete_func)s "$@"
else
  {_ZSH_REGISTERS}
fi"""

Found = list[str | tuple[str, str]]


def answer_the_first_tab_in_zsh() -> None:
    """Mend typer's script for zsh, which is loaded by the first Tab and then only registers itself for the next one."""
    from typer import _completion_shared as shared

    script = shared._completion_scripts["zsh"]  # noqa: SLF001 - typer has no other way in; a test types Tab in zsh
    if _ZSH_ANSWERS_TOO not in script:
        shared._completion_scripts["zsh"] = script.replace(_ZSH_REGISTERS, _ZSH_ANSWERS_TOO)  # noqa: SLF001 - as above


def build_ids(ctx: typer.Context, incomplete: str) -> Found:
    """The newest builds' ids, each with its project and status."""

    async def ask(producer: ProducerClient) -> Found:
        listed = await producer.builds(limit=_BUILDS)
        return [(build.execution_id, f"{build.project_name} {build.status}") for build in listed.builds]

    return _asked(ctx, ask, incomplete)


def pool_names(ctx: typer.Context, incomplete: str) -> Found:
    """The pools' names."""

    async def ask(producer: ProducerClient) -> Found:
        return [pool.name for pool in (await producer.pools()).pools]

    return _asked(ctx, ask, incomplete)


def agent_names(ctx: typer.Context, incomplete: str) -> Found:
    """The names of the agents that are present."""

    async def ask(producer: ProducerClient) -> Found:
        return [
            (agent.name, agent.state)
            for agent in (await producer.agents()).agents
            if agent.state.lower() not in {"left", "lost"}
        ]

    return _asked(ctx, ask, incomplete)


def _asked(ctx: typer.Context, ask: Callable[[ProducerClient], Awaitable[Found]], incomplete: str) -> Found:
    """What the farm says, or nothing: whoever presses Tab waits for no server and reads no error."""
    import asyncio

    from buildyard.cli.session import Session

    given = ctx.find_root().params

    async def work() -> Found:
        async with asyncio.timeout(_SECONDS):
            async with Session(given.get("api_url"), None, given.get("token")).producer() as producer:
                return await ask(producer)

    found: Found = []
    with suppress(Exception):
        found = asyncio.run(work())
    return [one for one in found if (one if isinstance(one, str) else one[0]).startswith(incomplete)]
