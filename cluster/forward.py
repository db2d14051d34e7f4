"""`forward`: the farm's three addresses on this machine, for ever: what breaks is opened again.

Behind each port stands a `kubectl port-forward` to a port of its own, which is started anew when it ends. Requests to
producer and scaler get the farm's token on the way, so that `curl` and a browser work without one: whoever can reach
loopback on this machine speaks for its user, as with a farm that runs here. Their guard against foreign pages holds.
"""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from buildyard.errors import InvalidSettings
from cluster.programs import Kubectl, last_words

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
OPEN_SECONDS = 30.0
"""A request waits so long for its way to be open again."""
_HEAD_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_OPENED = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
_LOST = re.compile(rb"lost connection to pod|error forwarding|an error occurred forwarding", re.IGNORECASE)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Door:
    """One address: a port of this machine, and the service and port behind it."""

    port: int
    service: str
    behind: int
    what: str
    speaks_for_user: bool = True
    """Whether the token is added to its requests."""


DOORS = (
    Door(8000, "producer", 8000, "producer: curl -X POST -F 'file=@data.csv' http://localhost:8000/upload"),
    Door(8080, "scaler", 8080, "dashboard and scaler: http://localhost:8080"),
    Door(
        15672,
        "rabbitmq",
        15672,
        "RabbitMQ: http://localhost:15672 (login in k8s/base/secrets/rabbitmq.env)",
        speaks_for_user=False,
    ),
)


class Way:
    """A `kubectl port-forward` that is started again whenever it ends."""

    def __init__(self, kubectl: Kubectl, door: Door, say: Say) -> None:
        self._words = kubectl.words("port-forward", f"service/{door.service}", f":{door.behind}", "--address=127.0.0.1")
        self._door = door
        self._say = say
        self._port: int | None = None
        self._was_open = False
        self._changed = asyncio.Condition()

    async def keep(self) -> None:
        """Keep it open for ever."""
        pause, told = FIRST_PAUSE_SECONDS, ""
        while True:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
            try:
                opened, trouble = await self._watch(process)
            finally:
                await _end(process)
            pause = FIRST_PAUSE_SECONDS if opened else min(pause * 2, LONGEST_PAUSE_SECONDS)
            if trouble != told:
                self._say(f"  {self._door.service} is away: {trouble}. It is opened again as soon as it is back.")
            told = "" if opened else trouble
            await asyncio.sleep(pause)

    async def _watch(self, process: Process) -> tuple[bool, str]:
        """Note the port that it opens, until it ends or loses its pod; whether it was open, and its last words."""
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.create_task(_until_lost(process.stderr))
        lines = asyncio.create_task(self._note_port(process.stdout))
        try:
            await asyncio.wait({complaints, lines}, return_when=asyncio.FIRST_COMPLETED)
            if lines.done() and not complaints.done():  # it ended: what it said comes to its end, too
                await complaints
        finally:
            await self._note(None)
            lines.cancel()
            complaints.cancel()
            ended = await asyncio.gather(lines, complaints, return_exceptions=True)
        said = ended[1] if isinstance(ended[1], bytes) else b""
        return self._was_open, last_words(said.decode(errors="replace"))

    async def _note_port(self, out: asyncio.StreamReader) -> None:
        self._was_open = False
        async for line in out:
            if match := _OPENED.search(line):
                self._was_open = True
                await self._note(int(match[1]))

    async def _note(self, port: int | None) -> None:
        async with self._changed:
            self._port = port
            self._changed.notify_all()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the service, once the way is open. Raises TimeoutError and OSError."""
        async with asyncio.timeout(OPEN_SECONDS):
            async with self._changed:
                await self._changed.wait_for(lambda: self._port is not None)
            return await asyncio.open_connection("127.0.0.1", self._port)


async def _until_lost(errors: asyncio.StreamReader) -> bytes:
    """All that it complained of, until it ends or says that its pod is gone."""
    said = b""
    async for line in errors:
        said = (said + line)[-4096:]
        if _LOST.search(line):
            break
    return said


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(2):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def forward(kubectl: Kubectl, token: str, doors: tuple[Door, ...], say: Say) -> None:
    """Open all doors and keep them open until cancelled.

    Raises:
        InvalidSettings: a port of this machine is taken.
    """
    ways = {door: Way(kubectl, door, say) for door in doors}
    servers = []
    try:
        for door in doors:
            header = f"Authorization: Bearer {token}".encode() if token and door.speaks_for_user else b""
            servers.append(await _listen(door, ways[door], header))
        say("Open until Ctrl-C:")
        for door in doors:
            say(f"  {door.port:>5}  {door.what}")
        async with asyncio.TaskGroup() as group:
            for way in ways.values():
                group.create_task(way.keep())
    finally:
        for server in servers:
            server.close()


async def _listen(door: Door, way: Way, header: bytes) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            await _pass_on(reader, writer, way, header)
        writer.close()

    try:
        return await asyncio.start_server(serve, "127.0.0.1", door.port, limit=_HEAD_BYTES)
    except OSError as error:
        raise InvalidSettings(
            f"The port {door.port} of this machine is taken, so {door.service} cannot be opened there.",
            remedy="End what listens there: perhaps another `forward`, or an embedded farm (`./manage.sh local`).",
        ) from error


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, header: bytes) -> None:
    """One connection. With a token it serves one request: the next one comes on a connection of its own."""
    head = with_header(await reader.readuntil(b"\r\n\r\n"), header) if header else b""
    try:
        back, onward = await way.connect()
    except (OSError, TimeoutError):
        writer.write(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        return
    try:
        onward.write(head)
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, onward))
            group.create_task(_pump(back, writer))
    finally:
        onward.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def with_header(head: bytes, header: bytes) -> bytes:
    """A request's head with a header of ours, unless its sender gave one; other requests than upgrades end there.

    The connection is closed after the answer: a further request on it would go on without our header.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    names = {line.partition(b":")[0].strip().lower() for line in lines}
    if header.partition(b":")[0].strip().lower() not in names:
        lines.append(header)
    if b"upgrade" not in names:
        lines = [
            line for line in lines if line.partition(b":")[0].strip().lower() not in {b"connection", b"keep-alive"}
        ]
        lines.append(b"Connection: close")
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"
