"""POOLS_FILE: the pools of a farm and what they share. What is wrong in it is told with its line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from buildyard.contracts.scaling import PoolConfig, ScalingPolicy
from buildyard.contracts.wire import Request
from buildyard.errors import InvalidSettings
from buildyard.project.toml_places import Place, Places, find_places
from buildyard.project.toml_text import TomlError, parse_toml
from buildyard.settings import Settings

_M = TypeVar("_M", bound=BaseModel)
_REMEDY = "Correct it there; docs/scaling.md shows such a file."
_TWICE = re.compile(r"Cannot declare \((.*)\) twice")
_NAME_RULE = "the name of a pool is up to 40 lower-case letters, digits and dashes, and begins with a letter"


class FarmTable(Request):
    """`[farm]` of POOLS_FILE: what holds for all pools together."""

    max_workers: int | None = Field(default=None, ge=1, le=1_000_000)


@dataclass(frozen=True)
class Farm:
    """The pools, and how many workers they may have together; None: as many as their own maxima allow."""

    pools: tuple[PoolConfig, ...]
    max_workers: int | None = None


def load_farm(settings: Settings) -> Farm:
    """Read POOLS_FILE, or make the default farm: one pool `linux`, local processes, as many as cores.

    BUILDYARD_MAX_WORKERS goes before the file's `[farm] max_workers`.

    Raises:
        InvalidSettings: the file is missing, is no TOML, or declares something wrongly.
    """
    file = settings.pools_file
    if file is None:
        pool = PoolConfig(name="linux", policy=ScalingPolicy(max_workers=os.cpu_count() or 1))
        return Farm((pool,), settings.max_workers)
    farm = read_pools_file(_text(file), str(file))
    most = farm.max_workers if settings.max_workers is None else settings.max_workers
    if most is not None and most < len(farm.pools):
        where = f"{file}: farm.max_workers" if settings.max_workers is None else "BUILDYARD_MAX_WORKERS"
        raise InvalidSettings(
            f"{where} is {most}, less than the {len(farm.pools)} pools: one of them could never have a worker.",
            remedy=f"Set it to {len(farm.pools)} or more.",
        )
    return Farm(farm.pools, most)


def load_pools(settings: Settings) -> tuple[PoolConfig, ...]:
    """The pools of `load_farm`. Raises InvalidSettings."""
    return load_farm(settings).pools


def read_pools_file(text: str, name: str) -> Farm:
    """Read the text of a pools file; `name` is what sentences call it.

    Raises:
        InvalidSettings: it is no TOML, or a key is unknown or wrong; the sentence begins with `name:LINE:COLUMN`.
    """
    try:
        document = parse_toml(text)
    except TomlError as error:
        at = f":{error.line}:{error.column}" if error.line else ""
        raise InvalidSettings(f"{name}{at}: {_clause(error)}.", remedy=_REMEDY) from error
    wrong = _Wrong(name, find_places(text))
    for key in document.keys() - {"pools", "farm"}:
        raise wrong.at((key,), " is unknown; allowed here: farm, pools", of_key=True)
    farm = wrong.read(FarmTable, ("farm",), document.get("farm", {}))
    pools = document.get("pools", {})
    if not isinstance(pools, dict):
        raise wrong.at(("pools",), " must be a table of pools, such as [pools.linux]")
    if not pools:
        raise InvalidSettings(f"{name} declares no pool.", remedy="Add [pools.linux].")
    return Farm(tuple(wrong.read_pool(pool, body) for pool, body in pools.items()), farm.max_workers)


class _Wrong:
    """Validates parts of the document, and tells where they are wrong."""

    def __init__(self, file: str, places: Places) -> None:
        self._file = file
        self._places = places

    def read_pool(self, name: str, body: object) -> PoolConfig:
        """One pool. Raises InvalidSettings."""
        path = ("pools", name)
        if not isinstance(body, dict):
            raise self.at(path, " must be a table, such as [pools.linux]")
        if "name" in body:
            raise self.at((*path, "name"), " is unknown: the name of a pool stands in its header", of_key=True)
        return self.read(PoolConfig, path, {"name": name, **body})

    def read(self, model: type[_M], path: tuple[str, ...], body: object) -> _M:
        """A table. Raises InvalidSettings."""
        try:
            return model.model_validate(body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            if first["loc"] == ("name",):
                raise self.at(path, f": {_NAME_RULE}", of_key=True) from error
            of_key = first["type"] == "extra_forbidden"
            raise self.at((*path, *first["loc"]), _told(model, first), of_key=of_key) from error

    def at(self, path: tuple[str | int, ...], told: str, *, of_key: bool = False) -> InvalidSettings:
        """The error about a key or a value."""
        path = self._as_written(path)
        place: Place = self._places.of_key(path) if of_key else self._places.of_value(path)
        where = ".".join(_shown(part) for part in path)
        return InvalidSettings(f"{self._file}:{place.line}:{place.column}: {where}{told}.", remedy=_REMEDY)

    def _as_written(self, path: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """A path with its names as the file spells them: camelCase is read too."""
        known = {tuple(map(_plain, found)): found for found in (*self._places.keys, *self._places.values)}
        wanted = tuple(map(_plain, path))
        for length in range(len(path), 0, -1):
            if found := known.get(wanted[:length]):
                return (*found, *path[length:])
        return path


def _told(model: type[BaseModel], error: ErrorDetails) -> str:
    """What is wrong with the key, to stand behind its name."""
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        allowed = sorted(_allowed(model, error["loc"][:-1]))
        return f" is unknown; allowed here: {', '.join(allowed)}" if allowed else " is unknown"
    if kind == "missing":
        return " is missing"
    if message.startswith("Input should be "):
        return f" must be {message.removeprefix('Input should be ')}"
    return f": {message.removeprefix('Value error, ')}"


def _allowed(model: type[BaseModel], path: Iterable[str | int]) -> set[str]:
    """The keys of the table at a path of a model; none where it is no model."""
    for part in path:
        fields = {_plain(name): field for name, field in model.model_fields.items()}
        found = fields.get(_plain(part))
        inner = [kind for kind in _kinds(found.annotation) if issubclass(kind, BaseModel)] if found else []
        if not inner:
            return set()
        model = inner[0]
    return set(model.model_fields) - ({"name"} if model is PoolConfig else set())


def _kinds(annotation: Any) -> list[type[Any]]:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return [annotation]
    return [kind for part in getattr(annotation, "__args__", ()) for kind in _kinds(part)]


def _plain(part: str | int) -> str:
    """A name however it is spelt: `max_workers` and `maxWorkers` are one."""
    return str(part).replace("_", "").lower() if isinstance(part, str) else str(part)


def _shown(part: str | int) -> str:
    text = str(part)
    return text[:60] if text.isprintable() else repr(text)[:60]


def _clause(error: TomlError) -> str:
    twice = _TWICE.search(str(error))
    if twice is None:
        return str(error)
    return f"{'.'.join(part.strip(chr(39)) for part in twice[1].rstrip(',').split(', '))} is declared twice"


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"The pools file {file} cannot be read: it is not UTF-8.") from error
    except OSError as error:
        raise InvalidSettings(f"The pools file {file} cannot be read: {error.strerror}.") from error
