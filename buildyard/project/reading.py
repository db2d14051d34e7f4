"""Reading `buildyard.toml`: what is wrong is told in a sentence, with its line and column and what may stand there."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from buildyard.errors import InvalidRequest
from buildyard.project.configuration import FILE_NAME, MAX_BYTES, BuildyardToml
from buildyard.project.schema import allowed_at, described_at
from buildyard.project.toml_places import Path, Place, find_places
from buildyard.project.toml_text import TomlError, parse_toml

_REMEDY = "docs/buildyard-toml.md lists every key."
_MAX_SHOWN = 60
_OF_A_KEY = "[key]"  # pydantic's mark: not the value but the name is wrong
_UNKNOWN = frozenset({"extra_forbidden", "literal_error"})
_NOUNS = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_BOUNDS = {
    "too_short": "must not be empty",
    "too_long": "may hold at most {max_length} entries",
    "string_too_short": "must not be empty",
    "string_too_long": "may have at most {max_length} characters",
    "string_pattern_mismatch": "must fit {pattern}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
}


def read_buildyard_toml(text: str) -> BuildyardToml:
    """Parse the file's text.

    Raises:
        InvalidRequest: it is no TOML, or a key is unknown or wrong; it begins with `buildyard.toml:LINE:COLUMN`.
    """
    try:
        document = parse_toml(text)
    except TomlError as error:
        at = f":{error.line}:{error.column}" if error.line else ""
        raise InvalidRequest(f"{FILE_NAME}{at}: {error}.", remedy="Correct that line and try again.") from error
    try:
        return BuildyardToml.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path, of_key = _path_of(first)
        place = _place(text, path, of_key=of_key)
        where = ".".join(_shown(part) for part in path)
        raise InvalidRequest(
            f"{FILE_NAME}:{place.line}:{place.column}: {where or 'the file'}{_told(first, path)}.",
            remedy=_REMEDY,
            field=where,
        ) from error


def read_project_file(content: bytes) -> BuildyardToml:
    """Read the file's bytes.

    Raises:
        InvalidRequest: it is too large, not UTF-8, or cannot be followed.
    """
    if len(content) > MAX_BYTES:
        raise InvalidRequest(f"{FILE_NAME} is larger than {MAX_BYTES:,} bytes.")
    try:
        return read_buildyard_toml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidRequest(f"{FILE_NAME}:{line}: it is not UTF-8.") from error


def _path_of(error: ErrorDetails) -> tuple[Path, bool]:
    """Which key or value is wrong, and whether it is the key."""
    path = tuple(error["loc"])
    of_key = error["type"] in {"extra_forbidden", "twice"} or path[-1:] == (_OF_A_KEY,)
    beyond = error.get("ctx", {}).get("path", ())
    return (*(path[:-1] if path[-1:] == (_OF_A_KEY,) else path), *beyond), of_key


def _place(text: str, path: Path, *, of_key: bool) -> Place:
    places = find_places(text)
    return places.of_key(path) if of_key else places.of_value(path)


def _told(error: ErrorDetails, path: Path) -> str:
    kind = error["type"]
    if kind in _UNKNOWN and (allowed := allowed_at(path[:-1])):
        return f" is unknown; allowed here: {', '.join(allowed)}"
    if kind == "missing":
        return f" is missing{_about(path)}"
    if kind in _NOUNS:
        return f" must be {_NOUNS[kind]}{_about(path)}"
    if kind in _BOUNDS:
        return f" {_BOUNDS[kind].format(**error.get('ctx', {}))}"
    return f": {error['msg'].removeprefix('Value error, ')}"


def _about(path: Path) -> str:
    """What the schema says of a key, to be added to a sentence."""
    text = described_at(path).rstrip(".")
    return f": {text[:1].lower()}{text[1:]}" if text else ""


def _shown(part: str | int) -> str:
    text = str(part) if str(part).isprintable() else repr(part)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
