"""The two shapes every contract has: a value we write ourselves, and a request that people write.

Both are frozen and speak camelCase outside, snake_case inside; both spellings are read. A value from a newer
process may carry fields we do not know, so values ignore them; a request with an unknown field is a typing
mistake, so requests refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from types import UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticKnownError

Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, AfterValidator(lambda text: text.replace("\0", "\ufffd"))]
"""Words from programs that are not ours: no database column takes a zero byte."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
PoolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
AgentName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,79}$")]


def rfc3339(moment: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC with milliseconds: `2026-11-21T09:30:00.250Z`."""
    offset = moment.utcoffset() or timedelta(0)
    utc = moment.replace(tzinfo=None) - offset
    return f"{utc.isoformat(timespec='milliseconds')}Z"


def iso8601_duration(seconds: float) -> str:
    """Write seconds as an ISO 8601 duration: 3725.5 -> `PT1H2M5.5S`, 0 -> `PT0S`."""
    thousandths = max(0, round(seconds * 1000))
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    if rest or not (hours or minutes):
        parts.append(f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "S")
    return "PT" + "".join(parts)


_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def seconds_of_duration(text: str) -> float:
    """Seconds of an ISO 8601 duration of days, hours, minutes and seconds: `PT1H2M5.5S` -> 3725.5.

    Raises:
        ValueError: it is not one.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        msg = f"{text!r} is not an ISO 8601 duration"
        raise ValueError(msg)
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _read_duration(value: object) -> object:
    return seconds_of_duration(value) if isinstance(value, str) else value


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)


def _only_rfc3339(value: object) -> object:
    """Refuse what pydantic would read beside RFC 3339: seconds since 1970, and other spellings of a time."""
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    msg = "it must be a time as RFC 3339 has it, such as 2026-11-21T09:30:00Z"
    raise ValueError(msg)


AskedMoment = Annotated[AwareDatetime, BeforeValidator(_only_rfc3339)]
"""A time that people write: RFC 3339 and nothing else."""
Moment = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
Duration = Annotated[
    float, BeforeValidator(_read_duration), PlainSerializer(iso8601_duration, return_type=str, when_used="json")
]
"""Seconds inside, ISO 8601 on the wire."""


class WireEnum(StrEnum):
    """A closed list of words: snake_case inside, `TimedOut` style on the wire, both read in any case."""

    @property
    def wire(self) -> str:
        """The word as the API writes it."""
        return "".join(part.capitalize() for part in self.value.split("_"))

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        key = re.sub(r"[_\-\s]", "", value).lower()
        return next((member for member in cls if member.value.replace("_", "") == key), None)


def _truth_is_no_number(cls: type[BaseModel], value: object, info: ValidationInfo) -> object:
    """Refuse `true` where a number is due, which Python would take for 1, and 0 where a truth value is."""
    if isinstance(value, int | float) and info.field_name is not None:
        wanted = set(_parts(cls.model_fields[info.field_name].annotation))
        if isinstance(value, bool) and wanted & {int, float} and bool not in wanted:
            raise PydanticKnownError("int_type" if int in wanted else "float_type")
        if not isinstance(value, bool) and bool in wanted and not wanted & {int, float}:
            raise PydanticKnownError("bool_type")
    return value


def _parts(annotation: object) -> Iterator[object]:
    yield annotation
    if get_origin(annotation) in {Union, UnionType, Annotated}:
        for part in get_args(annotation):
            yield from _parts(part)


class Value(BaseModel):
    """A frozen value that our own processes write and read."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="ignore",
    )

    def encode(self) -> bytes:
        """The wire form: JSON with camelCase keys."""
        return self.model_dump_json(by_alias=True).encode()

    def wire(self) -> dict[str, Any]:
        """The wire form as plain JSON values."""
        return self.model_dump(mode="json", by_alias=True)


class Request(BaseModel):
    """A frozen request that people write: an unknown field is refused by name."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
    )

    _truth_is_no_number = field_validator("*", mode="before")(_truth_is_no_number)


class Reported(Value):
    """A frozen value that arrives inside a request, so it is read as strictly as one; unknown fields are ignored."""

    _truth_is_no_number = field_validator("*", mode="before")(_truth_is_no_number)
