"""What a fetched source turns out to be: its configuration, its toolchain, and the context its plans are made in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from buildyard.contracts.builds import Outcome, ReasonCode, StageName
from buildyard.errors import InvalidRequest, NotFound
from worker.attempt import Attempt
from worker.own_commands import own_commands
from worker.pipeline import Ending
from worker.stages.files import read_regular, scan_tree
from worker.toolchains import choose, wanted
from worker.toolchains.configuration import FILE_NAME, BuildyardToml, read_buildyard_toml
from worker.toolchains.contract import MAX_TEXT_BYTES, BuildContext, Choice


@dataclass(frozen=True)
class Project:
    """A source that is understood."""

    choice: Choice
    context: BuildContext

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
    return Project(choice, context)


def read_configuration(src: Path) -> BuildyardToml:
    """The source's `buildyard.toml`, or defaults when it has none; blocks.

    Raises:
        InvalidRequest: it cannot be read or followed.
    """
    try:
        content = read_regular(src / FILE_NAME, MAX_TEXT_BYTES)
    except FileNotFoundError:
        return BuildyardToml()
    except OSError as error:
        raise InvalidRequest(f"{FILE_NAME} is no regular file that can be read.") from error
    if content is None:
        raise InvalidRequest(f"{FILE_NAME} is larger than {MAX_TEXT_BYTES:,} bytes.")
    try:
        return read_buildyard_toml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{FILE_NAME} is not UTF-8.") from error
