"""The store: builds and all that belongs to them, on SQLite or PostgreSQL. The only place that knows SQLAlchemy."""

from __future__ import annotations

from orchestrator.store.engine import Store, open_store

__all__ = ["Store", "open_store"]
