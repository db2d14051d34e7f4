"""The shape of `buildyard.toml`: what a project says of itself, when detection is not enough."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from buildyard.contracts.builds import StageName
from buildyard.contracts.needs import Needs
from buildyard.project.call_section import CallOptions

FILE_NAME = "buildyard.toml"
MAX_BYTES = 256 * 1024
"""A larger file is refused."""

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_NOT_YOURS = ("BUILDYARD_", "LD_", "DYLD_")
_SHELL_SIGNS = re.compile(r"[\x00-\x1f;|&<>$`]")


def _relative(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or ":" in path[:2] or ".." in path.split("/"):
        msg = f"{path[:60]!r} must be a relative path with `/`, without `..`"
        raise ValueError(msg)
    return path


def _environment_name(name: str) -> str:
    if not _ENVIRONMENT_NAME.fullmatch(name) or name.upper().startswith(_NOT_YOURS):
        msg = f"{name[:60]!r} is no environment variable that a project may set"
        raise ValueError(msg)
    return name


def _argument(text: str) -> str:
    if "\0" in text:
        msg = "an argument holds a NUL character"
        raise ValueError(msg)
    return text


def _program_first(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv[0].strip() or argv[0].startswith("-") or _SHELL_SIGNS.search(argv[0]):
        msg = f"{argv[0][:60]!r} is no program: a command is the list of its words, and no shell reads them"
        raise ValueError(msg)
    return argv


def _any_case(text: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else letter for letter in text)


# The patterns say in the schema what the functions above check; they hold in Python and in JavaScript.
_RELATIVE = r"^(?!/)(?!:)(?![\s\S]:)(?!([\s\S]*/)?\.\.(/|(?![\s\S])))[^\\\u0000]*(?![\s\S])"
_NAME_OF_VARIABLE = rf"^(?!{'|'.join(map(_any_case, _NOT_YOURS))})[A-Za-z_][A-Za-z0-9_]{{0,99}}(?![\s\S])"
_NO_NUL = r"^[^\u0000]*(?![\s\S])"

RelativePath = Annotated[
    str,
    Field(min_length=1, max_length=1024, json_schema_extra={"pattern": _RELATIVE}),
    AfterValidator(_relative),
]
Argument = Annotated[str, Field(max_length=4096, json_schema_extra={"pattern": _NO_NUL}), AfterValidator(_argument)]
Argv = Annotated[
    tuple[Argument, ...],
    Field(
        min_length=1,
        max_length=200,
        description='A command is the list of its words, such as ["make", "all"]; no shell reads it.',
    ),
    AfterValidator(_program_first),
]
Commands = Annotated[tuple[Argv, ...], Field(max_length=50)]
OwnStage = Literal["restore", "build", "test", "package"]
TaskName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_\-]{0,31}$")]
TaskNames = Annotated[tuple[TaskName, ...], Field(max_length=50)]
Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60, strict=True, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ArtifactsSection(_Section):
    """What to hand back, in place of what the toolchain says."""

    paths: Annotated[tuple[RelativePath, ...], Field(max_length=100)] = ()
    """Files or folders, with `*`, `?` and `**/`."""


class TaskSection(_Section):
    """Commands that run before the stages and tasks that need them, once."""

    commands: Annotated[Commands, Field(min_length=1)]
    """Lists of words, started one after the other without a shell."""
    needs: TaskNames = ()
    """Tasks that come before this one."""


class StageSection(_Section):
    """Commands in place of the toolchain's, or no such stage."""

    commands: Commands = ()
    """Lists of words, started one after the other without a shell."""
    skip: Annotated[bool, Field(strict=True)] = False
    """Whether the stage is left out."""
    needs: TaskNames = ()
    """Tasks that come before its commands, be these the toolchain's or its own."""
    timeout_minutes: Minutes | None = None
    """How long the stage may take; the build's own limit stands beside it."""


class BatchSection(_Section):
    """Rows of a CSV, each handed to the project's own program."""

    rows: RelativePath
    """The CSV."""
    run: Argv
    """The program: one line in, one line out."""


class CallSection(CallOptions):
    """Rows of a CSV, each sent to an HTTP service."""

    rows: RelativePath
    """The CSV."""


class BuildyardToml(_Section):
    """What a source says of its own build. Every key is optional."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["batch", "call"]}})

    toolchain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] | None = None
    """Instead of the one that fits best."""
    artifacts: ArtifactsSection = ArtifactsSection()
    stages: dict[OwnStage, StageSection] = Field(default_factory=dict)
    """What differs from the toolchain's own stages."""
    tasks: dict[TaskName, TaskSection] = Field(default_factory=dict, max_length=50)
    """Commands of your own by name, for stages to need."""
    needs: Needs | None = None
    """What the agent must have; one that lacks it hands the build on."""
    batch: BatchSection | None = None
    call: CallSection | None = None
    environment: dict[
        Annotated[str, AfterValidator(_environment_name), Field(json_schema_extra={"pattern": _NAME_OF_VARIABLE})],
        Argument,
    ] = Field(default_factory=dict, max_length=100)
    """Variables for every command."""

    @model_validator(mode="after")
    def _rows_are_for_one(self) -> BuildyardToml:
        if self.batch is not None and self.call is not None:
            raise PydanticCustomError("two", "[batch] and [call] cannot both have the rows", {"path": ("call",)})
        return self

    @model_validator(mode="after")
    def _needs_are_known_and_come_first(self) -> BuildyardToml:
        wanted = [(("tasks", name), task.needs) for name, task in self.tasks.items()]
        wanted += [(("stages", name), section.needs) for name, section in self.stages.items()]
        for around, needs in wanted:
            for number, name in enumerate(needs):
                if name not in self.tasks:
                    known = ", ".join(self.tasks) or "none"
                    path = (*around, "needs", number)
                    raise PydanticCustomError(
                        "unknown", f"the task {name!r} is unknown; there is {known}", {"path": path}
                    )
        try:
            TopologicalSorter({name: task.needs for name, task in self.tasks.items()}).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            path = ("tasks", circle[0], "needs", self.tasks[circle[0]].needs.index(circle[1]))
            words = " needs ".join(circle)
            raise PydanticCustomError("cycle", f"the needs go in a circle: {words}", {"path": path}) from None
        return self

    def stage(self, name: StageName) -> StageSection:
        """What the file says of a stage; an empty section when nothing."""
        return next((section for key, section in self.stages.items() if key == name.value), StageSection())

    def tasks_before(self, name: StageName) -> tuple[str, ...]:
        """The tasks that a stage needs, also through others, each after those it needs itself."""
        graph: dict[str, tuple[str, ...]] = {}
        waiting = list(self.stage(name).needs)
        while waiting:
            task = waiting.pop()
            if task not in graph:
                graph[task] = self.tasks[task].needs
                waiting += graph[task]
        return tuple(TopologicalSorter(graph).static_order())
