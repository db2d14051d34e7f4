"""What the demo submits: the real projects of `examples/`, packed as users pack theirs, and a CSV of 200 rows."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import buildyard
from buildyard.errors import InvalidSettings

ROWS = 200
_LEFT_OUT = frozenset(
    {"__pycache__", ".pytest_cache", ".venv", "bin", "obj", "dist", "build", "out", "artifacts", "node_modules"}
)


@dataclass(frozen=True)
class DemoInput:
    """One upload of the demo."""

    name: str
    path: Path
    rows: int = 0


@dataclass(frozen=True)
class LeftOut:
    """An example that this machine cannot build, and why."""

    name: str
    reason: str


def examples_folder() -> Path:
    """Where the examples are: beside the packages, in a clone of the repository.

    Raises:
        InvalidSettings: this is an installation without them.
    """
    folder = Path(buildyard.__file__).resolve().parents[1] / "examples"
    if not (folder / "generate_data.py").is_file():
        raise InvalidSettings(
            f"The demo needs the examples, which are not at {folder}.", remedy="Run it from a clone of the repository."
        )
    return folder


def prepare(
    examples: Path, target: Path, which: Callable[[str], str | None] = shutil.which
) -> tuple[list[DemoInput], list[LeftOut]]:
    """Pack below `target` what this machine can build; `which` finds a program on PATH."""
    inputs = [
        DemoInput("python-project", pack(examples / "python-project", target)),
        DemoInput("csv-rows", write_rows(examples / "generate_data.py", target / "orders.csv"), rows=ROWS),
    ]
    left_out = []
    for name, missing in (("c-project", _lacking_for_c(which)), ("dotnet-solution", _lacking_for_dotnet(which))):
        if missing:
            left_out.append(LeftOut(name, f"{missing} is not on PATH"))
        else:
            inputs.append(DemoInput(name, pack(examples / name, target)))
    return inputs, left_out


def _lacking_for_c(which: Callable[[str], str | None]) -> str:
    if not which("make"):
        return "make"
    return "" if any(which(compiler) for compiler in ("cc", "gcc", "clang")) else "a C compiler"


def _lacking_for_dotnet(which: Callable[[str], str | None]) -> str:
    return "" if which("dotnet") else "dotnet"


def pack(project: Path, target: Path) -> Path:
    """Zip a project's sources without what building leaves behind; gives the archive below `target`."""
    archive = target / f"{project.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as packed:
        for path in _sources(project):
            packed.write(path, path.relative_to(project).as_posix())
    return archive


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in _LEFT_OUT and not path.name.endswith(".egg-info"):
            yield from _sources(path)
        elif path.is_file():
            yield path


def write_rows(generator: Path, target: Path) -> Path:
    """Let the examples' own generator write its rows; gives the CSV."""
    spec = importlib.util.spec_from_file_location("generate_data", generator)
    if spec is None or spec.loader is None:
        raise InvalidSettings(f"{generator} cannot be run.")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(module.rows(ROWS, 1))
    return target
