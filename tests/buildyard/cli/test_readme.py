"""What the README shows can be done as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from buildyard.cli.exits import EXIT_CODES
from buildyard.cli.main import app
from buildyard.pools_file import load_pools
from buildyard.project.reading import read_buildyard_toml
from buildyard.settings import load_settings

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
_TOML = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
_COMMANDS = re.findall(r"(?:^|; )buildyard ([^;#\n]+)", README, re.MULTILINE)


def test_the_exit_codes_are_those_of_the_help() -> None:
    assert " ".join(EXIT_CODES.split()) in " ".join(README.split())


@pytest.mark.parametrize("words", _COMMANDS)
def test_every_command_line_is_understood(words: str) -> None:
    command = get_command(app)
    command.make_context("buildyard", shlex.split(words), resilient_parsing=False)
    verb = shlex.split(words)[0]
    child = command.commands[verb]  # type: ignore[attr-defined] # typer keeps the class of a group to itself
    child.make_context(verb, shlex.split(words)[1:])


def test_the_pools_file_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "pools.toml").write_text(next(text for text in _TOML if "[pools." in text))
    pools = load_pools(load_settings(pools_file=tmp_path / "pools.toml"))
    assert [pool.name for pool in pools] == ["linux", "dotnet"]


@pytest.mark.parametrize("text", [text for text in _TOML if "[pools." not in text])
def test_every_buildyard_toml_is_understood(text: str) -> None:
    read_buildyard_toml(text)
