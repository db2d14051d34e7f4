"""How the scaler is, and what it uses itself."""

from __future__ import annotations

from pydantic import Field

from buildyard.contracts.api import HealthAnswer
from buildyard.contracts.wire import Count, Value


class ProcessUse(Value):
    """What a process has used of its machine."""

    cpu_seconds: float = Field(ge=0)
    """Of all its threads, since it began."""
    memory_bytes: Count | None = None
    """Resident; None where the platform does not tell."""


class ScalerHealth(HealthAnswer):
    """How the scaler is, and what it uses itself; None: an older one, which does not tell."""

    process: ProcessUse | None = None
    leads: bool = True
    """Of several scalers one decides; the others stand by."""
    leader: str = ""
    """Who leads, in words."""
