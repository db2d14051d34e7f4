"""Connections with bounds: what says nothing, says it too slowly or takes nothing is closed, and their number is kept.

uvicorn bounds the idle time between two requests (`timeout_keep_alive`) and the size of a head; the rest is here, for
every process that serves HTTP:

- a head must be complete HEAD_SECONDS after its connection was made, or after its first byte;
- a client that does not take what is written to it for TAKE_SECONDS is cut off, also in the middle of a stream;
- above `most` connections the one that is idle longest makes room; when none is idle, the newest is closed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextvars import ContextVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from buildyard.telemetry import logger

HEAD_SECONDS = 20.0
KEEP_ALIVE_SECONDS = 75
TAKE_SECONDS = 60.0
MOST_CONNECTIONS = 4096
_LEAST_CONNECTIONS = 64
_OTHER_FILES = 256
"""Open files that are no connections of clients: databases, objects, logs."""

_log = logger("connections")
_asking: ContextVar[BoundedProtocol | None] = ContextVar("asking", default=None)


def connections_allowed() -> int:
    """How many connections this process holds: MOST_CONNECTIONS, or what `ulimit -n` leaves of open files."""
    limit = os.sysconf("SC_OPEN_MAX") if hasattr(os, "sysconf") else -1
    if limit < 0:  # no limit
        return MOST_CONNECTIONS
    return max(_LEAST_CONNECTIONS, min(MOST_CONNECTIONS, limit - _OTHER_FILES))


def writer_of_answer() -> Callable[[bytes], bool] | None:
    """What writes a piece of the answer that is being given, at once and past all layers of the application.

    A stream that many read costs a fraction so. The answer must have begun, and have no length of its own. The writer
    returns False, and writes nothing, where the client is gone or has not taken yet what was written before: then the
    usual way waits for it. None where there is no such way: the request came by HTTP/1.0, or over no socket of ours.
    """
    connection = _asking.get()
    return connection.writer() if connection is not None else None


class BoundedProtocol(H11Protocol):
    """One connection; its bounds are those of the process, so they stand on the class (`bounded`)."""

    most = MOST_CONNECTIONS
    head_seconds = HEAD_SECONDS
    take_seconds = TAKE_SECONDS

    _head_timer: asyncio.TimerHandle | None = None
    _take_timer: asyncio.TimerHandle | None = None
    idle_since = 0.0
    upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._head_timer = self.loop.call_later(self.head_seconds, self._head_too_late)
        if len(self.connections) > self.most:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Something came: a whole head ends the wait for it, a part of one does not move its end."""
        _asking.set(self)
        super().data_received(data)
        if self.busy or self.upgraded or self.transport.is_closing():
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self._head_too_late)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the connection is a websocket's: its own pings tell whether somebody is there."""
        self.upgraded = True
        self._stop_head_timer()
        self._stop_take_timer()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """Idle from here on, unless another request was sent ahead."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client takes less than is written."""
        super().pause_writing()
        self._stop_take_timer()
        self._take_timer = self.loop.call_later(self.take_seconds, self.cut_off, "it takes nothing")

    def resume_writing(self) -> None:
        """The client took something."""
        self._stop_take_timer()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._stop_head_timer()
        self._stop_take_timer()
        super().connection_lost(exc)

    @property
    def busy(self) -> bool:
        """Whether a request is in hand."""
        return self.cycle is not None and not self.cycle.response_complete

    def writer(self) -> Callable[[bytes], bool] | None:
        """See `writer_of_answer`: for the request in hand."""
        cycle = self.cycle
        if cycle is None or cycle.scope["http_version"] != "1.1" or cycle.scope["method"] == "HEAD":
            return None

        def write(piece: bytes) -> bool:
            over = cycle.response_complete or cycle.disconnected or self.transport.is_closing()
            if over or not cycle.response_started or self.flow.write_paused:
                return False
            self.transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))  # as h11 frames what it is given
            return True

        return write

    def cut_off(self, reason: str) -> None:
        """Break the connection off, with whatever was to be sent over it."""
        _log.info("connection cut off", client=self.client, reason=reason)
        self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_take_timer(self) -> None:
        if self._take_timer is not None:
            self._take_timer.cancel()
            self._take_timer = None

    def _head_too_late(self) -> None:
        self._head_timer = None
        if self.busy or self.transport.is_closing():
            return
        begun = self.conn.trailing_data[0] if self.conn.their_state is h11.IDLE else b""
        if begun:
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.transport.close()

    def _make_room(self) -> None:
        others = (one for one in self.connections if isinstance(one, BoundedProtocol) and one is not self)
        oldest = min((one for one in others if not one.busy), key=lambda one: one.idle_since, default=self)
        oldest.cut_off(f"there are more than {self.most} connections")


def bounded(
    most: int, *, head_seconds: float = HEAD_SECONDS, take_seconds: float = TAKE_SECONDS
) -> type[BoundedProtocol]:
    """A protocol for `uvicorn.Config(http=…)` with these bounds."""

    class Bounded(BoundedProtocol):
        pass

    Bounded.most, Bounded.head_seconds, Bounded.take_seconds = most, head_seconds, take_seconds
    return Bounded
