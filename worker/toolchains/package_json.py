"""What `package.json` says that the commands of a Node build depend on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildyard.errors import InvalidRequest

_PLAIN_WORD = re.compile(r"[\w@%+=:,./*-]+")
_NO_TEST = "no test specified"
"""What `npm init` writes in place of a test."""


@dataclass(frozen=True)
class PackageJson:
    """`scripts` holds the texts of scripts; `packs` tells whether it has the name and version that packing needs."""

    scripts: Mapping[str, str] = field(default_factory=dict)
    packs: bool = False
    is_private: bool = False

    @property
    def has_test(self) -> bool:
        """Whether there is a test script that tests."""
        return bool(self.scripts.get("test", "").strip()) and _NO_TEST not in self.scripts["test"]

    @property
    def tests_by_node(self) -> bool:
        """Whether the test script is Node's own test runner, nothing else, and leaves the choice of reporters to us."""
        words = self.scripts.get("test", "").split()
        runs_tests = words[:1] == ["node"] and "--test" in words
        return runs_tests and all(_PLAIN_WORD.fullmatch(word) and "reporter" not in word for word in words)


def read_package_json(path: str, text: str) -> PackageJson:
    """Read the file's text.

    Raises:
        InvalidRequest: it is no JSON object.
    """
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise InvalidRequest(f"{path} is nested too deeply.") from error
    except ValueError as error:
        raise InvalidRequest(f"{path} is not JSON: {error}.", remedy="Correct that line and upload again.") from error
    if not isinstance(document, dict):
        raise InvalidRequest(f"{path} is no JSON object.")
    return PackageJson(
        scripts=_texts(document.get("scripts")),
        packs=all(isinstance(document.get(key), str) and document[key] for key in ("name", "version")),
        is_private=document.get("private") is True,
    )


def _texts(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    return {name: text for name, text in found.items() if isinstance(text, str)}
