"""What pydantic finds wrong, in plain words and with the names that users wrote. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_PLACES = frozenset({"body", "query", "header", "cookie", "path"})
_MOST_ERRORS = 20
_LONGEST_SHOWN = 60

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "string_type": "must be text",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "none_required": "must be left out",
    "string_unicode": "must be text in UTF-8",
}
_WORDS_WITH_LIMIT = {
    "greater_than": ("gt", "must be more than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "string_too_long": ("max_length", "is longer than {} characters"),
    "string_too_short": ("min_length", "is shorter than {} characters"),
    "too_long": ("max_length", "has more than {} entries"),
    "string_pattern_mismatch": ("pattern", "has characters or a length that are not allowed; it must match {}"),
    "enum": ("expected", "must be one of {}"),
    "literal_error": ("expected", "must be one of {}"),
}


def plain_errors(found: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], ...]:
    """Field and message of up to 20 errors; several errors of one field are told once."""
    told: dict[str, str] = {}
    for entry in found:
        told.setdefault(field_of(entry["loc"]), message_of(entry))
    return tuple({"field": field, "message": message} for field, message in list(told.items())[:_MOST_ERRORS])


def field_of(place: Sequence[int | str]) -> str:
    """The dotted path of a field: ("body", "job", "rows", 0) -> `job.rows[0]`; the body as a whole is `body`."""
    inside = [part for part in place if part not in _PLACES or part != place[0]]
    path = ""
    for part in inside:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else _shown(str(part))
    return path or str(place[0] if place else "body")


def message_of(entry: Mapping[str, Any]) -> str:
    """What is wrong with one field, to be read after its name."""
    kind, context = str(entry["type"]), entry.get("ctx") or {}
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _WORDS_WITH_LIMIT:
        name, words = _WORDS_WITH_LIMIT[kind]
        limit = context.get(name, "what is allowed")
        return words.format(f"{limit:.15g}" if isinstance(limit, float) else limit)
    if kind == "value_error":
        return f"is wrong: {str(entry['msg']).removeprefix('Value error, ')}"
    message = str(entry["msg"])
    return f"is wrong: {message[:1].lower()}{message[1:]}"


def _shown(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
