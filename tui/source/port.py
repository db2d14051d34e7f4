"""The shape of a source, and what the app tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from buildyard.contracts.scaling import WhatIf, WhatIfAnswer
from tui.orders import Done, Order
from tui.state.events import Event


@dataclass(frozen=True, slots=True)
class Interest:
    """What is looked at now."""

    builds: frozenset[str] = field(default_factory=frozenset)
    """Ids of builds to read in full, with events and artifacts."""
    logs: frozenset[str] = field(default_factory=frozenset)
    """Streams to follow, named as `log_of_build` and `log_of_agent` write them."""
    tail: int = 1_000
    """With so many lines a log begins."""


NOTHING_WATCHED = Interest()


@runtime_checkable
class Source(Protocol):
    """Something that tells of a farm; see the package for how an app uses it."""

    title: str
    """A few words for the header: the address, the name of the recording, or the demo's seed."""

    async def __aenter__(self) -> Self:
        """Begin; returns at once."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all tasks and connections; within a second."""

    def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        """News as they come; to be read by one reader. Never raises because of what a server does."""

    def watch(self, interest: Interest) -> None:
        """From now on this is looked at, and nothing else."""

    def retry_now(self) -> None:
        """Ask at once whoever is down, instead of after the pause."""

    def now(self) -> datetime:
        """The time that the data belong to."""


@runtime_checkable
class Changeable(Protocol):
    """A source whose farm can be changed."""

    async def change(self, order: Order) -> Done:
        """Do what is asked for; the same order again is not done again. Raises BuildyardError."""


@runtime_checkable
class Advising(Protocol):
    """A source whose scaler says what it would decide."""

    async def what_if(self, question: WhatIf) -> WhatIfAnswer:
        """What would be decided with other values; nothing is done. Raises BuildyardError."""


@runtime_checkable
class Seekable(Protocol):
    """A source that can move in time.

    After a move the next batch begins anew: the app makes an empty `Store` when `generation` has changed.
    """

    generation: int
    """Grows with each move."""

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last moment there is."""

    @property
    def paused(self) -> bool:
        """Whether time stands still."""

    def seek(self, moment: datetime) -> None:
        """Go to a moment; outside the span to its nearer end."""

    def pause(self, *, paused: bool) -> None:
        """Let time stand still, or go on."""

    def speed(self, factor: float) -> None:
        """How many seconds go by in one; 1 is as it was."""
