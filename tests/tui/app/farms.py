"""Dashboards over farms that stand still: everything is told at once, and the time does not go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Self

from textual.pilot import Pilot

from buildyard.contracts.scaling import WhatIf, WhatIfAnswer
from buildyard.errors import BuildyardError, NotFound
from tui.app import FarmApp
from tui.configuration import Configuration
from tui.orders import Done, Order
from tui.source import NOTHING_WATCHED, Interest
from tui.source.demo import DemoSource
from tui.source.demo.source import START
from tui.state.events import Connection, Event, SourceName, SourceSeen
from tui.widgets.line_view import LineView

CAUSE = "The producer at http://127.0.0.1:8000 cannot be reached: nobody listens there."
REMEDY = "Start one with `buildyard local`, or name another with --api-url."


class Told:
    """A source that tells these events at once, then nothing; `tell` adds to them."""

    def __init__(self, events: Iterable[Event], now: datetime) -> None:
        self.title = "demo 1"
        self.interest = NOTHING_WATCHED
        self.retries = 0
        self._now = now
        self._waiting: asyncio.Queue[tuple[Event, ...] | None] = asyncio.Queue()
        self._waiting.put_nowait(tuple(events))
        self.taken = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put_nowait(None)

    def tell(self, *events: Event) -> None:
        self._waiting.put_nowait(events)

    @property
    def all_taken(self) -> bool:
        return self._waiting.empty() and self.taken > 0

    async def batches(self) -> AsyncIterator[tuple[Event, ...]]:
        while (events := await self._waiting.get()) is not None:
            yield events
            self.taken += 1

    def watch(self, interest: Interest) -> None:
        self.interest = interest

    def retry_now(self) -> None:
        self.retries += 1

    def now(self) -> datetime:
        return self._now


class Obeying(Told):
    """A farm that does what it is told: orders are kept; `answers` are given in order, then all is well."""

    def __init__(self, events: Iterable[Event], now: datetime) -> None:
        super().__init__(events, now)
        self.orders: list[Order] = []
        self.answers: list[Done | Exception] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.questions: list[WhatIf] = []
        self.told_if: WhatIfAnswer | BuildyardError = NotFound("Nobody asked about this pool.")

    async def change(self, order: Order) -> Done:
        self.orders.append(order)
        await self.may_answer.wait()
        answer = self.answers.pop(0) if self.answers else Done("It is done.")
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def what_if(self, question: WhatIf) -> WhatIfAnswer:
        self.questions.append(question)
        if isinstance(self.told_if, BuildyardError):
            raise self.told_if
        return self.told_if


@cache
def story(seconds: int = 40, past: int = 200) -> tuple[tuple[Event, ...], datetime]:
    """What the demo tells in its first seconds, and the time then."""
    source = DemoSource(past=past)
    events = [*source._sources(), *source._farm.past()]
    for _ in range(seconds):
        events += source.next_second()
    return tuple(events), START + timedelta(seconds=seconds)


def seen(
    source: SourceName, connection: Connection, now: datetime, *, silent: float | None = 0.0, retry: float | None = None
) -> SourceSeen:
    """How a connection is: `silent` seconds since the last answer (None: never answered), `retry` to the next try."""
    well = connection in {"connected", "connecting"}
    return SourceSeen(
        source=source,
        at=now,
        connection=connection,
        address="http://127.0.0.1:8000" if source == "producer" else "http://127.0.0.1:8080",
        last_ok=None if silent is None else now - timedelta(seconds=silent),
        cause="" if well else CAUSE.replace("producer", source),
        remedy="" if well else REMEDY,
        retry_at=None if retry is None else now + timedelta(seconds=retry),
    )


def dashboard(*more: Event, seconds: int = 40, configuration: Configuration | None = None) -> FarmApp:
    """The dashboard over the demo's first seconds, with `more` told last."""
    events, now = story(seconds)
    return FarmApp(Told((*events, *more), now), configuration)


def dashboard_of(*events: Event, now: datetime = START) -> FarmApp:
    """The dashboard over these events alone."""
    return FarmApp(Told(events, now))


def obeying(*events: Event, now: datetime, writable: bool = True) -> FarmApp:
    """The dashboard over a farm that does what it is told."""
    return FarmApp(Obeying(events, now), writable=writable)


async def ready(pilot: Pilot[None]) -> FarmApp:
    """Until everything told is drawn; gives the app."""
    app = pilot.app
    assert isinstance(app, FarmApp)
    source = app.source
    assert isinstance(source, Told)
    async with asyncio.timeout(60):
        while not (source.all_taken and app.farm_screen is not None and app.farm_screen.is_mounted):
            await pilot.pause(0.01)
        await pilot.pause()
        for _ in range(2):  # what a panel shows may depend on the size that it got
            app.farm_screen.refresh_changed(None)
            for view in app.farm_screen.query(LineView):
                view.flush()
            await pilot.pause()
    return app


def screen_text(app: FarmApp) -> str:
    """What is on the terminal, line by line."""
    rows = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in row).rstrip() for row in rows)


def toasts(app: FarmApp) -> str:
    """The sentences that were shown for a while."""
    return " ".join(" ".join(one.message.split()) for one in app._notifications)


def words(app: FarmApp) -> str:
    """What the open window says, as one line of words: windows wrap what they say."""
    window = app.screen.query_one(".window").region
    rows = screen_text(app).splitlines()[window.y : window.bottom]
    return " ".join(word for row in rows for word in row[window.x + 1 : window.right - 1].split())
