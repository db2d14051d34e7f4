"""What people change while builds wait: the intake of pools, the priority of builds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool

from buildyard.contracts.builds import Priority
from buildyard.contracts.wire import Moment, PoolName, Request, Value


class PoolEvent(Value):
    """A pool was paused or resumed."""

    seq: int
    pool: PoolName
    type: Literal["pool_paused", "pool_resumed"]
    at: Moment
    reason: str
    requester: str


class PoolEventList(Value):
    """The newest changes of a pool's intake, newest first."""

    events: tuple[PoolEvent, ...]


class PauseRequest(Request):
    """Why a pool is paused or resumed."""

    reason: str = Field(default="", max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["The disks are changed."])


class RetryRequest(Request):
    """How a build is built again.

    `failed_only` true: only what failed of it, and what succeeded is taken over; refused where nothing can be. False:
    all of it anew. Left out: what succeeded is taken over where that can be, else all is built.
    """

    failed_only: StrictBool | None = None


class PriorityRequest(Request):
    """How urgent a build is from now on."""

    priority: Priority
