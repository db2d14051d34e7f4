"""Annotations: short words that people and programs pin to a build."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from buildyard.contracts.wire import Moment, Request, Value, WireEnum

TEXT_MOST = 4000
"""Characters of one annotation."""
Context = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/:-]{0,99}$", examples=["coverage"])]


class AnnotationStyle(WireEnum):
    """How an annotation is to be taken."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AnnotationRequest(Request):
    """Words to pin to a build, as plain text of one or more lines; those of the same context are replaced."""

    text: str = Field(
        min_length=1,
        max_length=TEXT_MOST,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$",
        examples=["Coverage fell from 91 % to 88 %."],
    )
    style: AnnotationStyle = AnnotationStyle.INFO
    context: Context = "default"


class Annotation(Value):
    """Words that are pinned to a build."""

    context: str
    style: str
    text: str
    at: Moment
    requester: str


class AnnotationList(Value):
    """All annotations of a build, by context."""

    annotations: tuple[Annotation, ...]
