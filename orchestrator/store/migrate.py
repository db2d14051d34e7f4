"""Running the migrations in `migrations/` on a connection."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from orchestrator.store.line import settle_positions
from orchestrator.store.schema import metadata

_ADVISORY_LOCK = 6_842_007


def migrate(connection: Connection) -> None:
    """Upgrade to the newest revision; producers that start together take turns."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    environment = EnvironmentContext(
        config,
        script,
        fn=lambda revision, _context: script._upgrade_revs("head", revision),  # noqa: SLF001 - Alembic's own documented recipe for programmatic upgrades
    )
    environment.configure(connection=connection, target_metadata=metadata)
    environment.run_migrations()
    settle_positions(connection)
