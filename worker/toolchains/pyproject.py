"""What `pyproject.toml` says that the commands of a Python build depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from buildyard.errors import InvalidRequest
from buildyard.project.toml_text import read_toml

_TEST_NAMES = ("test", "tests", "testing", "dev", "develop")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.\-]*\s*(?:[\[<>=!~;@(].*)?", re.DOTALL)
_EXTRA = re.compile(r"[A-Za-z0-9][\w.\-]*")


@dataclass(frozen=True)
class Pyproject:
    """`is_package` is None where the file does not tell; requirements are as pip takes them.

    `uv_versions` and `poetry_versions` are those of the tool itself that the project asks for, as it writes them.
    """

    is_package: bool | None = None
    has_build_system: bool = False
    test_extra: str = ""
    dependencies: tuple[str, ...] = ()
    test_group: tuple[str, ...] = ()
    test_group_name: str = ""
    poetry_group: str = ""
    uv_versions: str = ""
    poetry_versions: str = ""


def read_pyproject(path: str, text: str) -> Pyproject:
    """Read the file's text.

    Raises:
        InvalidRequest: it is no TOML, or lists something as a requirement that is none: an option must never reach
            pip this way.
    """
    document = read_toml(path, text)
    project, groups = _table(document, "project"), _table(document, "dependency-groups")
    tool = _table(document, "tool")
    poetry = _table(tool, "poetry")
    listed = (*_table(project, "optional-dependencies"), *_table(poetry, "extras"))
    extras = [name for name in listed if _EXTRA.fullmatch(name)]
    group = _first_test_name(groups)
    return Pyproject(
        is_package=_is_package(document),
        has_build_system="build-system" in document or _table(tool, "uv").get("package") is True,
        test_extra=_first_test_name(extras),
        dependencies=tuple(_requirement(path, item) for item in _items(project, "dependencies")),
        test_group=tuple(_requirement(path, item) for item in _members(groups, group)),
        test_group_name=_first_test_name([name for name in groups if _EXTRA.fullmatch(name)]),
        poetry_group=_first_test_name([name for name in _table(poetry, "group") if _EXTRA.fullmatch(name)]),
        uv_versions=_text(_table(tool, "uv"), "required-version"),
        poetry_versions=_text(poetry, "requires-poetry"),
    )


def _is_package(document: dict[str, Any]) -> bool | None:
    tool = _table(document, "tool")
    if _table(tool, "uv").get("package") is False or _table(tool, "poetry").get("package-mode") is False:
        return False
    return True if "project" in document or "build-system" in document else None


def _members(groups: dict[str, Any], name: str) -> Iterator[Any]:
    """The requirements of a dependency group and of those it includes, each group once."""
    waiting, seen = [name], {""}
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        for item in _items(groups, current):
            if isinstance(item, dict):
                waiting.append(str(item.get("include-group", "")))
            else:
                yield item


def _first_test_name(names: dict[str, Any] | list[str]) -> str:
    return next((name for wanted in _TEST_NAMES for name in names if name.lower() == wanted), "")


def _requirement(path: str, item: object) -> str:
    if not isinstance(item, str) or not _REQUIREMENT.fullmatch(item.strip()):
        raise InvalidRequest(f"{path} lists {str(item)[:60]!r}, which is no requirement.")
    return item.strip()


def _table(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    return value.strip() if isinstance(value, str) else ""


def _items(parent: dict[str, Any], name: str) -> list[Any]:
    value = parent.get(name)
    return value if isinstance(value, list) else []
