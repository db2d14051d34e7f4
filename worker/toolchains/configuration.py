"""`buildyard.toml`: what a project says of itself, when detection is not enough."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from buildyard.contracts.builds import StageName
from buildyard.errors import InvalidRequest
from worker.toolchains.call_section import CallOptions
from worker.toolchains.toml_text import read_toml

FILE_NAME = "buildyard.toml"

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def _relative(path: str) -> str:
    if path.startswith("/") or "\\" in path or "\0" in path or ":" in path[:2] or ".." in path.split("/"):
        msg = f"{path[:60]!r} must be a relative path with `/`, without `..`"
        raise ValueError(msg)
    return path


def _environment_name(name: str) -> str:
    if not _ENVIRONMENT_NAME.fullmatch(name) or name.upper().startswith(("BUILDYARD_", "LD_", "DYLD_")):
        msg = f"{name[:60]!r} is no environment variable that a project may set"
        raise ValueError(msg)
    return name


def _argument(text: str) -> str:
    if "\0" in text:
        msg = "an argument holds a NUL character"
        raise ValueError(msg)
    return text


RelativePath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_relative)]
Argument = Annotated[str, Field(max_length=4096), AfterValidator(_argument)]
Argv = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=200)]
OwnStage = Literal["restore", "build", "test", "package"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ArtifactsSection(_Section):
    """`[artifacts]`: what to hand back, in place of what the toolchain says."""

    paths: Annotated[tuple[RelativePath, ...], Field(max_length=100)] = ()


class StageSection(_Section):
    """`[stages.NAME]`: commands in place of the toolchain's, or no such stage."""

    commands: Annotated[tuple[Argv, ...], Field(max_length=50)] = ()
    skip: bool = False


class BatchSection(_Section):
    """`[batch]`: rows of a CSV, each handed to the project's own program."""

    rows: RelativePath
    run: Argv


class CallSection(CallOptions):
    """`[call]`: rows of a CSV, each sent to an HTTP service."""

    rows: RelativePath


class BuildyardToml(_Section):
    """The whole file; everything has a default."""

    toolchain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")] | None = None
    artifacts: ArtifactsSection = ArtifactsSection()
    stages: dict[OwnStage, StageSection] = Field(default_factory=dict)
    batch: BatchSection | None = None
    call: CallSection | None = None
    environment: dict[Annotated[str, AfterValidator(_environment_name)], Argument] = Field(
        default_factory=dict, max_length=100
    )

    @model_validator(mode="after")
    def _rows_are_for_one(self) -> BuildyardToml:
        if self.batch is not None and self.call is not None:
            msg = "[batch] and [call] cannot both have the rows"
            raise ValueError(msg)
        return self

    def stage(self, name: StageName) -> StageSection:
        """What the file says of a stage; an empty section when nothing."""
        return next((section for key, section in self.stages.items() if key == name.value), StageSection())


def read_buildyard_toml(text: str) -> BuildyardToml:
    """Parse the file's text.

    Raises:
        InvalidRequest: it is no TOML, or a key is unknown or wrong; the sentence says where.
    """
    document = read_toml(FILE_NAME, text)
    try:
        return BuildyardToml.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(
            f"{FILE_NAME} cannot be followed: {place or 'as a whole'}: {first['msg'].removeprefix('Value error, ')}.",
            remedy="docs/buildyard-toml.md lists every key.",
            field=place,
        ) from error
