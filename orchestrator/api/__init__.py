"""The producer's HTTP API: everything users, workers, the scaler and the dashboard ask of it."""

from __future__ import annotations

from orchestrator.api.app_factory import create_app
from orchestrator.api.parts import ApiParts

__all__ = ["ApiParts", "create_app"]
