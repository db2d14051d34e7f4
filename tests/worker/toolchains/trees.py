"""Sources as values, for tests of pure tables."""

from __future__ import annotations

from collections.abc import Mapping

from buildyard.contracts.builds import BuildProperties, StageName
from buildyard.project.configuration import BuildyardToml
from worker.toolchains import choose
from worker.toolchains.contract import BuildContext, Command, FileTree, StagePlan, Toolchain


def tree(*paths: str) -> FileTree:
    """Files without texts."""
    return FileTree(frozenset(paths))


def written(texts: Mapping[str, str], *paths: str) -> FileTree:
    """Files with their texts, and further ones without."""
    return FileTree(frozenset({*texts, *paths}), dict(texts))


def context(
    toolchain: Toolchain, source: FileTree, properties: BuildProperties | None = None, *, dotnet: str = "3.1.102"
) -> BuildContext:
    """The context of a source that is of this kind, on an agent with every tool in /usr/bin."""
    detection = toolchain.detect(source)
    assert detection is not None
    tools = {name: f"/usr/bin/{name}" for name in ("python", "make", "cmake", "dotnet")}
    return BuildContext(
        properties=properties or BuildProperties(),
        tree=source,
        detection=detection,
        config=BuildyardToml(),
        tools=tools,
        src="/w/src",
        out="/w/out",
        scratch="/w/scratch",
        cores=4,
        tool_versions={"dotnet": dotnet},
    )


def plan(
    toolchain: Toolchain,
    stage: StageName,
    source: FileTree,
    properties: BuildProperties | None = None,
    *,
    dotnet: str = "3.1.102",
) -> StagePlan:
    """The plan of one stage."""
    return toolchain.plan(stage, context(toolchain, source, properties, dotnet=dotnet))


def lines(found: StagePlan) -> list[str]:
    """The command lines of a plan, with single spaces."""
    return [line(command) for command in found.commands]


def line(command: Command) -> str:
    """A command as one line."""
    return " ".join(command.argv)


def chosen(source: FileTree, config: BuildyardToml | None = None, asked: str | None = None) -> str:
    """The sentence that tells which toolchain was chosen."""
    return choose(source, config or BuildyardToml(), asked).why
