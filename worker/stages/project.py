"""What a fetched source turns out to be: its configuration, its toolchain, and the context its plans are made in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from buildyard.contracts.builds import Outcome, ReasonCode, StageName
from buildyard.contracts.suiting import unmet
from buildyard.errors import InvalidRequest, NotFound
from buildyard.project.configuration import FILE_NAME, MAX_BYTES, BuildyardToml
from buildyard.project.reading import read_project_file
from worker.attempt import Attempt
from worker.capabilities import machine
from worker.own_commands import own_commands
from worker.pipeline import Ending
from worker.stages.files import read_regular, scan_tree
from worker.toolchains import choose, wanted
from worker.toolchains.contract import BuildContext, Choice


@dataclass(frozen=True)
class Project:
    """A source that is understood."""

    choice: Choice
    context: BuildContext
    lacks: tuple[str, ...] = ()
    """What the source needs and this agent does not have, in words."""

    @property
    def is_batch(self) -> bool:
        """Whether its rows become jobs of their own."""
        return self.choice.detection.toolchain in {"batch", "call"}


async def understand(attempt: Attempt) -> Project | Ending:
    """Read the source's configuration and choose its toolchain; an Ending when nothing fits.

    Raises:
        InvalidRequest: `buildyard.toml` cannot be followed, or the toolchain asked for does not fit.
    """
    workspace = attempt.workspace
    config = await asyncio.to_thread(read_configuration, workspace.src)
    tree = await asyncio.to_thread(scan_tree, workspace.src, wanted)
    try:
        choice = choose(tree, config, attempt.spec.properties.toolchain)
    except NotFound as error:
        own = own_commands(config)
        if own is None:
            return Ending(Outcome.REJECTED, ReasonCode.NO_TOOLCHAIN, f"{error} {error.remedy}".strip())
        choice = own
    await attempt.log.note(StageName.FETCH, f"toolchain {choice.why}")
    context = BuildContext(
        properties=attempt.spec.properties,
        tree=tree,
        detection=choice.detection,
        config=config,
        tools=attempt.tools.paths,
        tool_versions=attempt.tools.versions,
        src=str(workspace.src),
        out=str(workspace.out),
        scratch=str(workspace.scratch),
        cores=attempt.cores,
    )
    return Project(choice, context, await asyncio.to_thread(_lacks, attempt, config))


def _lacks(attempt: Attempt, config: BuildyardToml) -> tuple[str, ...]:
    if config.needs is None:
        return ()
    return unmet(config.needs, machine(attempt.tools, attempt.workspace.root), attempt.agent)


def read_configuration(src: Path) -> BuildyardToml:
    """The source's `buildyard.toml`, or defaults when it has none; blocks.

    Raises:
        InvalidRequest: it cannot be read or followed.
    """
    try:
        content = read_regular(src / FILE_NAME, MAX_BYTES)
    except FileNotFoundError:
        return BuildyardToml()
    except OSError as error:
        raise InvalidRequest(f"{FILE_NAME} is no regular file that can be read.") from error
    if content is None:
        raise InvalidRequest(f"{FILE_NAME} is larger than {MAX_BYTES:,} bytes.")
    return read_project_file(content)
