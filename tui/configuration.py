"""What a user chose and what is kept: theme, keys, and the columns of tables.

The file is TOML, `$XDG_CONFIG_HOME/buildyard/tui.toml` (else `~/.config/…`); `BUILDYARD_TUI_FILE` names another one:

    theme = "light"
    [keys]
    "look.copy" = "y c"

Columns are kept beside it, in a file that only the dashboard writes (`tui-tables.json`): the user's file is never
written to.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildyard.errors import InvalidSettings
from tui.commands import Keymap
from tui.themes import DEFAULT, theme_name
from tui.widgets.columns import Layout

_MOST_BYTES = 1 << 20


def configuration_file(environment: Mapping[str, str]) -> Path:
    """Where the user's file stands, whether it is there or not."""
    if named := environment.get("BUILDYARD_TUI_FILE"):
        return Path(named).expanduser()
    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "buildyard" / "tui.toml"


@dataclass
class Configuration:
    """The user's choices; made by `load`."""

    theme: str = DEFAULT
    keys: Mapping[str, str] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    tables_file: Path | None = None
    """Where table layouts are kept; None: nowhere."""

    def keymap(self) -> Keymap:
        """The keys, the user's own first."""
        return Keymap(self.keys)

    def layout(self, table: str) -> Layout:
        """What was kept for a table."""
        return Layout.from_data(self.tables.get(table))

    def keep_layout(self, table: str, layout: Layout) -> None:
        """Keep a table's columns and sort. OSError where the file cannot be written."""
        self.tables[table] = layout.as_data()
        if self.tables_file is None:
            return
        self.tables_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.tables_file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(self.tables, indent=1), encoding="utf-8")
        fresh.replace(self.tables_file)


def load(file: Path) -> Configuration:
    """Read the user's file; one that is not there means all defaults.

    Raises:
        InvalidSettings: it cannot be read, is no TOML, or holds what it should not; the sentence says where.
    """
    chosen = _read(file)
    for name in chosen:
        if name not in {"theme", "keys"}:
            raise InvalidSettings(
                f"{file} has a setting {name[:40]!r} that does not exist.", remedy="There are theme and [keys]."
            )
    keys = chosen.get("keys", {})
    if not isinstance(keys, dict) or not all(isinstance(value, str) for value in keys.values()):
        raise InvalidSettings(f'[keys] in {file} must hold texts, as in "look.copy" = "y c".')
    theme = chosen.get("theme", DEFAULT)
    if not isinstance(theme, str):
        raise InvalidSettings(f'theme in {file} must be a text, as in theme = "light".')
    tables_file = file.with_name("tui-tables.json")
    return Configuration(theme_name(theme), keys, _tables(tables_file), tables_file)


def _read(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidSettings(f"{file} cannot be read: {error.strerror or error}.") from error
    try:
        return tomllib.loads(data[:_MOST_BYTES].decode())
    except ValueError as error:
        raise InvalidSettings(f"{file} is no TOML: {str(error)[:200]}", remedy="Put it right, or remove it.") from error


def _tables(file: Path) -> dict[str, Any]:
    """What was kept; a file that somebody broke counts as none, since nothing but widths is lost."""
    try:
        tables = json.loads(file.read_bytes()[:_MOST_BYTES])
    except (OSError, ValueError):
        return {}
    return tables if isinstance(tables, dict) else {}
