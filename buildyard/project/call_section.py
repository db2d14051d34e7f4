"""`[call]` of `buildyard.toml`: which request a row becomes, and how gently the service is treated."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

PLACE = re.compile(r"\{([^{}]*)\}")
"""Where a template takes a column's value: `{name}`."""
_FIXED_HOST = re.compile(r"https?://[^/?#{}]+(?:[/?].*)?", re.DOTALL)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_NOT_YOURS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MAX_KEPT_BYTES = 64 * 1024


def places(template: str) -> tuple[str, ...]:
    """The columns that a template names: `{name}` stands for the row's value.

    Raises:
        ValueError: a brace stands alone.
    """
    if {"{", "}"} & set(PLACE.sub("", template)):
        msg = f"{template[:60]!r} has a brace without its partner"
        raise ValueError(msg)
    return tuple(PLACE.findall(template))


def check_header_name(name: str) -> str:
    """Return the name when a project may set such a header.

    Raises:
        ValueError: it is no header's name, or one that the farm sets itself.
    """
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _NOT_YOURS or name.lower().startswith("proxy-"):
        msg = f"{name[:60]!r} is no header that a call may set"
        raise ValueError(msg)
    return name


def _template(text: str) -> str:
    places(text)
    return text


def _url(text: str) -> str:
    if not _FIXED_HOST.fullmatch(text):
        msg = f"{text[:60]!r} must begin with https://HOST or http://HOST, without a column in the host"
        raise ValueError(msg)
    return _template(text)


Template = Annotated[str, Field(max_length=8192), AfterValidator(_template)]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
FieldPath = Annotated[str, Field(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BreakerSection(_Section):
    """When a service that fails is left in peace."""

    calls: int = Field(default=20, strict=True, ge=1, le=200)
    """Of how many of the newest calls the failed ones are counted."""
    failures: int = Field(default=10, strict=True, ge=1, le=200)
    """So many failed ones of them open the circuit."""
    cool_down_seconds: float = Field(default=5, strict=True, gt=0, le=600)
    """How long it stays open the first time; each time in a row doubles it, up to 60 s or this."""
    openings: int = Field(default=6, strict=True, ge=1, le=100)
    """Opened so often in a row, the service is given up and the rows left over fail."""

    @model_validator(mode="after")
    def _can_open(self) -> BreakerSection:
        if self.failures > self.calls:
            raise PydanticCustomError("never", "failures cannot be more than calls", {"path": ("failures",)})
        return self


class CallOptions(_Section):
    """All that says how rows are called; a CSV sent alone is called with the defaults. Times are seconds."""

    url: Annotated[str, Field(max_length=2048), AfterValidator(_url)] | None = None
    method: Annotated[str, Field(pattern=f"^({'|'.join(METHODS)})$")] | None = None
    headers: dict[HeaderName, Template] = Field(default_factory=dict, max_length=50)
    body: dict[str, Template] = Field(default_factory=dict, max_length=200)
    """Fields of a JSON object to send; each value is a template."""
    fields: Annotated[tuple[FieldPath, ...], Field(max_length=100)] = ()
    """Which fields of a JSON answer are the row's result, such as `id` or `items.0.name`; none: its text."""
    keep_bytes: int = Field(default=4096, strict=True, ge=0, le=MAX_KEPT_BYTES)
    """How much of an answer's text is kept."""
    concurrency: int = Field(default=8, strict=True, ge=1, le=64)
    """Calls at once, of the whole build."""
    rate_per_second: float = Field(default=10, strict=True, gt=0, le=1000)
    """Calls that begin in a second, repeated ones too, of the whole build."""
    burst: int | None = Field(default=None, strict=True, ge=1, le=1000)
    """Calls that may begin at once after a pause; none: as many as `concurrency`."""
    connect_seconds: float = Field(default=10, strict=True, gt=0, le=60)
    """The longest time until a connection stands."""
    read_seconds: float = Field(default=30, strict=True, gt=0, le=600)
    """The longest silence of a service that is to answer."""
    whole_seconds: float = Field(default=60, strict=True, gt=0, le=600)
    """The longest time for one try of a call, from the name's look-up to the answer's last byte."""
    tries: int = Field(default=4, strict=True, ge=1, le=20)
    """How often a call is tried before its row fails."""
    backoff_seconds: float = Field(default=0.5, strict=True, gt=0, le=60)
    """The pause after the first failed try; each further one doubles it, and chance halves it at most."""
    backoff_max_seconds: float = Field(default=30, strict=True, gt=0, le=600)
    """The longest of these pauses."""
    retry_after_max_seconds: float = Field(default=60, strict=True, ge=0, le=600)
    """The longest pause that a service may ask for with `Retry-After`."""
    breaker: BreakerSection = BreakerSection()

    @model_validator(mode="after")
    def _header_names_differ(self) -> CallOptions:
        seen: set[str] = set()
        for name in self.headers:
            if name.lower() in seen:
                raise PydanticCustomError("twice", "this header is named twice", {"path": ("headers", name)})
            seen.add(name.lower())
        return self

    @property
    def most_jobs(self) -> int:
        """Into how many jobs a build can be cut so that each has a call of its own to begin."""
        return min(self.concurrency, self.burst or self.concurrency)

    def named_columns(self) -> frozenset[str]:
        """Every column that a template of it names."""
        templates = (self.url or "", *self.headers.values(), *self.body.values())
        return frozenset(name for template in templates for name in places(template))
