"""A source that no toolchain knows, but whose `buildyard.toml` says itself what to run."""

from __future__ import annotations

from buildyard.project.configuration import FILE_NAME, BuildyardToml
from worker.toolchains.compilers import FAMILIES
from worker.toolchains.contract import Choice, Detection
from worker.toolchains.without_tools import WithoutTools

_NAME = "custom"


class OwnCommands(WithoutTools):
    """The toolchain that knows nothing: every command comes from `buildyard.toml`."""

    name = _NAME
    compilers = FAMILIES
    skip_reason = f"{FILE_NAME} gives no commands for it."


def own_commands(config: BuildyardToml) -> Choice | None:
    """The choice for a source that no toolchain fits; None when its file gives no commands either."""
    if not any(section.commands or section.needs for section in config.stages.values()):
        return None
    detection = Detection(_NAME, 0, f"{FILE_NAME} gives its commands")
    return Choice(OwnCommands(), detection, f"{_NAME}, because {FILE_NAME} gives its commands and no toolchain fits.")
