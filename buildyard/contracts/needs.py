"""What a build needs of the agent that builds it: tools with their versions, cores, memory, disk, a kind of machine."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from buildyard.contracts.wire import Request

MAX_TEXT = 500
"""Needs are short: the store looks jobs up by them."""

_TERM = re.compile(r"(>=|<=|==|>|<)?\s*(\d+(?:\.\d+){0,5})")
_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([KMGT])i?B")
_POWERS = {"K": 10, "M": 20, "G": 30, "T": 40}
_NUMBERS = re.compile(r"\d+")


def _versions(text: str) -> str:
    if text and not all(_TERM.fullmatch(part.strip()) for part in text.split(",")):
        msg = f"{text[:60]!r} is no version: write 3.1 for any 3.1, or bounds such as >=3.11,<4, or nothing for any"
        raise ValueError(msg)
    return text


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        msg = f"{text[:60]!r} is no size: write it as 512 MiB or 4 GiB"
        raise ValueError(msg)
    return text


ToolName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_+\-]{0,31}$")]
# The patterns say in a schema what the functions above check.
_ONE = r"(>=|<=|==|>|<)?\s*\d+(\.\d+){0,5}"
_VERSIONS = rf"^(\s*{_ONE}\s*(,\s*{_ONE}\s*)*)?(?![\s\S])"
_SIZES = r"^\d{1,6}(\.\d{1,3})?\s*[KMGT]i?B(?![\s\S])"
Versions = Annotated[str, Field(max_length=100, json_schema_extra={"pattern": _VERSIONS}), AfterValidator(_versions)]
Size = Annotated[str, Field(json_schema_extra={"pattern": _SIZES}), AfterValidator(_size)]


class Needs(Request):
    """What an agent must have; what is left out does not matter."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    tools: dict[ToolName, Versions] = Field(default_factory=dict, max_length=20)
    """Tool to version: `8` fits any 8, `>=3.11,<4` lies within bounds, an empty text fits any."""
    os: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")] | None = None
    """`linux`, `windows` or `macos`."""
    arch: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,20}$")] | None = None
    """Such as `x86_64` or `aarch64`."""
    cores: Annotated[float, Field(gt=0, le=4096, allow_inf_nan=False, strict=True)] | None = None
    memory: Size | None = None
    """Such as `4 GiB`."""
    disk: Size | None = None
    """Such as `20 GiB`."""

    @model_validator(mode="after")
    def _is_short(self) -> Self:
        if len(self.text()) > MAX_TEXT:
            msg = f"needs take more than {MAX_TEXT} characters"
            raise ValueError(msg)
        return self

    def text(self) -> str:
        """JSON, the same for the same needs; empty where nothing is needed. At most MAX_TEXT characters."""
        ordered = self.model_copy(update={"tools": dict(sorted(self.tools.items()))})
        text = ordered.model_dump_json(exclude_defaults=True)
        return text if text != "{}" else ""

    def and_also(self, other: Needs) -> Needs:
        """Both: where both speak of one thing, both bounds of a tool and the other's word of anything else."""
        tools = dict(self.tools)
        for name, versions in other.tools.items():
            parts = [*tools.get(name, "").split(","), *versions.split(",")]
            tools[name] = ",".join(dict.fromkeys(part.strip() for part in parts if part.strip()))
        rest = {name: value for name, value in other.model_dump(exclude={"tools"}).items() if value is not None}
        return Needs.model_validate({**self.model_dump(exclude={"tools"}), **rest, "tools": tools})


def wanted(needs: Needs) -> str:
    """What is needed, in words: `dotnet >=8, 4 cores and 8 GiB of memory`."""
    words = [f"{tool} {versions}".strip() for tool, versions in sorted(needs.tools.items())]
    words += [text for text in (needs.os, needs.arch) if text]
    words += [f"{needs.cores:g} cores"] if needs.cores else []
    words += [f"{size} of {what}" for what, size in (("memory", needs.memory), ("disk", needs.disk)) if size]
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def fits(versions: str, found: str) -> bool:
    """Whether a version lies within bounds. `8` and `==8` fit 8 and all that begins with `8.`; nothing fits any."""
    numbers = tuple(int(part) for part in _NUMBERS.findall(found.partition("-")[0].partition("+")[0])[:6])
    for part in filter(None, (part.strip() for part in versions.split(","))):
        term = _TERM.fullmatch(part)
        if term is None or not numbers:
            return False
        bound = tuple(int(one) for one in term[2].split("."))
        if not _holds(term[1] or "==", numbers, bound):
            return False
    return True


def _holds(sign: str, numbers: tuple[int, ...], bound: tuple[int, ...]) -> bool:
    width = max(len(numbers), len(bound))
    have, want = (parts + (0,) * (width - len(parts)) for parts in (numbers, bound))
    match sign:
        case ">=":
            return have >= want
        case "<=":
            return have <= want or numbers[: len(bound)] == bound
        case ">":
            return have > want and numbers[: len(bound)] != bound
        case "<":
            return have < want
        case _:
            return have[: len(bound)] == bound


def size_bytes(text: str) -> int:
    """A checked size in bytes: `4 GiB` and `4GB` are both 4 x 2^30."""
    found = _SIZE.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no size"
        raise ValueError(msg)
    return int(float(found[1]) * 2 ** _POWERS[found[2]])
