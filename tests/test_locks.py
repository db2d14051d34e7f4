"""The lock files hold what pyproject.toml asks for, with hashes and without addresses."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINNED = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+)(?: ; [^\\]+)? \\\n(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)", re.MULTILINE
)


def text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    return {canonicalize_name(match["name"]): match["version"] for match in PINNED.finditer(text(name))}


def wanted(*extras: str) -> list[Requirement]:
    optional = PROJECT["project"]["optional-dependencies"]
    lines = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    return [Requirement(line) for line in [*lines, *(line for extra in extras for line in optional[extra])]]


@pytest.mark.parametrize(
    ("name", "requirements"),
    [
        ("run", wanted("rabbitmq", "producer", "scaler", "tui", "worker")),
        ("images", wanted("rabbitmq", "producer", "scaler", "tui", "web", "worker", "docker", "ssh", "kubernetes")),
        ("dev", wanted(*PROJECT["project"]["optional-dependencies"])),
    ],
)
def test_a_lock_answers_every_requirement_of_the_project(name: str, requirements: list[Requirement]) -> None:
    locked = pins(name)
    stale = [
        str(wish)
        for wish in requirements
        if not wish.specifier.contains(locked.get(canonicalize_name(wish.name), "0"), prereleases=True)
    ]
    assert not stale, f"./manage.sh lock brings requirements/{name}.txt up to date: {stale}"


@pytest.mark.parametrize("name", ["run", "images"])
def test_developers_run_the_versions_that_users_run(name: str) -> None:
    assert pins(name).items() <= pins("dev").items()


@pytest.mark.parametrize("name", ["run", "images", "dev"])
def test_each_line_is_pinned_and_hashed_and_names_no_address(name: str) -> None:
    lines = [line for line in text(name).splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(pins(name))
    assert "://" not in text(name)
