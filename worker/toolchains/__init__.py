"""Toolchains: pure tables that say, for one kind of project, what to look for and what to run.

A new kind is one module with a class that fits `contract.Toolchain` and one line in `_KNOWN`; the checklist is
`docs/new-toolchain.md`.
"""

from __future__ import annotations

from buildyard.errors import InvalidRequest, NotFound
from buildyard.project.configuration import FILE_NAME, BuildyardToml
from worker.toolchains.batch import BatchToolchain
from worker.toolchains.call import CallToolchain
from worker.toolchains.cargo import CargoToolchain
from worker.toolchains.contract import Choice, Detection, FileTree, Toolchain
from worker.toolchains.dotnet import DotnetToolchain
from worker.toolchains.go import GoToolchain
from worker.toolchains.gradle import GradleToolchain
from worker.toolchains.make import MakeToolchain
from worker.toolchains.maven import MavenToolchain
from worker.toolchains.node import NodeToolchain
from worker.toolchains.python import PythonToolchain

_BATCH = BatchToolchain()
_CALL = CallToolchain()
_KNOWN: tuple[tuple[Toolchain, str], ...] = (
    (_BATCH, f"a CSV file alone or [batch] in {FILE_NAME}"),
    (_CALL, f"[call] in {FILE_NAME}"),
    (DotnetToolchain(), "a .NET solution or project"),
    (PythonToolchain(), "pyproject.toml, setup.py, requirements.txt or a .py file"),
    (CargoToolchain(), "Cargo.toml"),
    (MavenToolchain(), "pom.xml"),
    (GradleToolchain(), "build.gradle"),
    (GoToolchain(), "go.mod"),
    (NodeToolchain(), "package.json"),
    (MakeToolchain(), "CMakeLists.txt or a Makefile"),
)
TOOLCHAINS: tuple[Toolchain, ...] = tuple(toolchain for toolchain, _ in _KNOWN)
"""Every toolchain, each with a name of its own."""


def wanted(path: str) -> bool:
    """Whether any toolchain must read this file's text to decide."""
    return any(toolchain.wanted(path) for toolchain in TOOLCHAINS)


def choose(tree: FileTree, config: BuildyardToml, asked: str | None = None) -> Choice:
    """The toolchain for a tree: the one the request asks for, else the one of `buildyard.toml`, else the best fit.

    Raises:
        InvalidRequest: the toolchain asked for is unknown, or the tree is not of its kind.
        NotFound: nothing fits; the sentence lists what was looked for.
    """
    found = [detection for toolchain in TOOLCHAINS if (detection := toolchain.detect(tree))]
    declared = [_BATCH.declared()] if config.batch is not None else []
    declared += [_CALL.declared()] if config.call is not None else []
    found = [*declared, *(detection for detection in found if not (declared and detection.toolchain == _BATCH.name))]
    found.sort(key=lambda detection: -detection.score)
    if asked:
        return _named(asked, found, "the request asks for it")
    if config.toolchain:
        return _named(config.toolchain, found, f"{FILE_NAME} says so")
    if not found:
        cut = " It has so many files that only a part was looked at." if tree.truncated else ""
        raise NotFound(
            f"No toolchain fits this source; looked for {', or '.join(text for _, text in _KNOWN)}.{cut}",
            remedy=f"Add one of these, or name the toolchain in {FILE_NAME}.",
        )
    return Choice(_toolchain(found[0].toolchain), found[0], _why(found[0], found[1:]))


def _named(name: str, found: list[Detection], because: str) -> Choice:
    toolchain = _toolchain(name)
    detection = next((detection for detection in found if detection.toolchain == name), None)
    if detection is None:
        sought = next(text for known, text in _KNOWN if known.name == name)
        raise InvalidRequest(
            f"The toolchain {name} does not fit this source: {sought} was not found.",
            remedy="Leave the toolchain out to have it chosen by the files.",
            field="toolchain",
        )
    return Choice(toolchain, detection, f"{name}, because {because} ({detection.why}).")


def _toolchain(name: str) -> Toolchain:
    toolchain = next((known for known in TOOLCHAINS if known.name == name), None)
    if toolchain is None:
        names = ", ".join(known.name for known in TOOLCHAINS)
        raise InvalidRequest(f"The toolchain {name!r} is unknown; there are {names}.", field="toolchain")
    return toolchain


def _why(best: Detection, others: list[Detection]) -> str:
    sentence = f"{best.toolchain}, because {best.why}"
    if not others:
        return f"{sentence}."
    also = ", ".join(f"{other.toolchain} ({other.why})" for other in others)
    return f"{sentence}; also fits {also}: set toolchain in {FILE_NAME} to choose."
