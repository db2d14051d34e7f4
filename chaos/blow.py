"""A strike as it happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chaos.plan import Fault


@dataclass(frozen=True)
class Blow:
    """Which fault struck, from when to when, and whom."""

    fault: Fault
    began: datetime
    ended: datetime
    victim: str = ""
