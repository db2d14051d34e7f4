"""The dashboard in a browser: requests for it are passed on to a child process.

    browser -- HTTP, websocket --> scaler (guard: Host, Origin, token) -- socket file --> child -- pipes --> one
    dashboard a visitor

The child is `python -m tui.serving`, which is textual-serve over a socket file that only this user can open: so nobody
reaches it past the guard, no other user of the machine and no web page. It starts with the first request and ends
with the scaler: its standard input ends then, even when the scaler is killed. The dashboards are read-only, and there
are at most MOST_SESSIONS of them at a time.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from buildyard.errors import Overloaded, TemporaryError
from buildyard.settings import Settings
from buildyard.telemetry import logger

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

MOST_SESSIONS = 4
"""Each is a process of about 60 MB."""
START_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_TRIES = 4
_PAUSE_SECONDS = 0.25
_END_SECONDS = 5.0
_MOST_ANSWER_BYTES = 16 << 20
_MOST_SAID_BYTES = 4096
_TRY_AGAIN_LATER = 1013
"""The code with which a websocket is closed that is one too many."""
_PASSED_BACK = ("content-type", "etag", "last-modified")
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data: blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""A page that loads nothing from elsewhere, and stands in no other page's frame."""
_log = logger("browser")


class Answer(NamedTuple):
    """What the child answered: status, headers in lower case, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def missing() -> str:
    """What is not installed of what this needs; "" where all is."""
    return ", ".join(name for name in ("textual_serve", "websockets") if find_spec(name) is None)


def child_command() -> list[str]:
    """The child's command line, without its socket."""
    return [sys.executable, "-m", "tui.serving"]


def child_environment(settings: Settings, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the child needs to know of the farm: where its APIs are, and their token."""
    told = {"API_URL": settings.api, "SCALER_URL": settings.scaler, "TOKEN": settings.token}
    others = {name: value for name, value in inherited.items() if not name.startswith("BUILDYARD_")}
    return {**others, **{f"BUILDYARD_{name}": value for name, value in told.items() if value}}


class Dashboard:
    """The child and what is passed on to it; `aclose` ends it.

    Args:
        command: the child's command line; its socket file is added.
        environment: all of the child's.
        most_sessions: dashboards at a time.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], most_sessions: int = MOST_SESSIONS
    ) -> None:
        self._command = command
        self._environment = environment
        self._most = most_sessions
        self._sessions = 0
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._folder: Path | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's, while there is one."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def sessions(self) -> int:
        """Dashboards that are open."""
        return self._sessions

    # ---------------------------------------------------------------- passing on

    async def page(self, path: str, query: str, host: str) -> Answer:
        """The child's answer to a GET.

        Raises:
            Overloaded: as many dashboards as are allowed are open.
            TemporaryError: the child does not start, or does not answer.
        """
        if path == "/" and self._sessions >= self._most:
            raise Overloaded(
                f"{self._most} dashboards are open in browsers already.", remedy="Close one of them, or use a terminal."
            )
        for left in range(_TRIES - 1, -1, -1):
            socket = await self._started()
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    return await _asked(socket, f"{path}?{query}" if query else path, host)
            except (OSError, TimeoutError, ValueError) as error:
                if not left or not isinstance(error, ConnectionError):
                    raise TemporaryError("The dashboard does not answer.", remedy="Try again soon.") from error
            await asyncio.sleep(_PAUSE_SECONDS)  # it has just ended: a new one is started
        raise AssertionError  # the last round returned or raised

    async def session(self, websocket: WebSocket) -> None:
        """One visitor's dashboard, until either side ends it."""
        from websockets.asyncio.client import unix_connect  # noqa: PLC0415 - a scaler without the extra starts
        from websockets.exceptions import WebSocketException  # noqa: PLC0415

        if self._sessions >= self._most:
            await websocket.close(_TRY_AGAIN_LATER)
            return
        self._sessions += 1
        try:
            socket = await self._started()
            uri = f"ws://dashboard/ws?{websocket.url.query}".rstrip("?")
            async with unix_connect(str(socket), uri, max_size=_MOST_ANSWER_BYTES, compression=None) as child:
                await websocket.accept()
                async with asyncio.TaskGroup() as group:
                    there = group.create_task(_to_child(websocket, child))
                    back = group.create_task(_to_browser(child, websocket))
                    await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
                    there.cancel()
                    back.cancel()
        except (TemporaryError, OSError, WebSocketException) as error:
            _log.warning("a dashboard ended", cause=str(error))
        finally:
            self._sessions -= 1
            with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
                await websocket.close()

    # ---------------------------------------------------------------- the child

    async def _started(self) -> Path:
        """The child's socket; it is started where it does not run."""
        async with self._starting:
            if self._folder is None or self.pid is None:
                await self._end()
                self._folder = await asyncio.to_thread(_folder_of_its_own)
                await self._start(self._folder / "socket")
            return self._folder / "socket"

    async def _start(self, socket: Path) -> None:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            "--socket",
            str(socket),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(self._environment),
            start_new_session=True,
        )
        said = b""
        assert process.stdout is not None
        try:
            with suppress(TimeoutError, ValueError):  # a line without an end is no word of ours
                async with asyncio.timeout(START_SECONDS):
                    while not said.startswith(b"ready") and (line := await process.stdout.readline()):
                        said = line
        except asyncio.CancelledError:
            process.kill()  # nobody would read what it says
            raise
        if not said.startswith(b"ready"):
            await self._end()
            raise TemporaryError("The dashboard does not start.", remedy="The scaler's log says why.") from (
                RuntimeError(said.decode(errors="replace")[:500]) if said else None
            )
        self._reading = asyncio.create_task(_told(process.stdout), name="dashboard's words")
        _log.info("dashboard started", pid=process.pid)

    async def _end(self) -> None:
        """End the child and what belongs to it."""
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        reading, self._reading = self._reading, None
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()  # it ends its dashboards, then itself
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        if folder is not None:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def aclose(self) -> None:
        """The end."""
        async with self._starting:
            await self._end()


def routes(dashboard: Dashboard) -> APIRouter:
    """What a browser asks for."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/static/{path:path}")
    async def pass_on(request: Request) -> Response:
        answer = await dashboard.page(request.url.path, request.url.query, request.headers["host"])
        headers = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        headers |= {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": _POLICY}
        return Response(answer.body, answer.status, headers)

    @router.websocket("/ws")
    async def open_session(websocket: WebSocket) -> None:
        await dashboard.session(websocket)

    return router


def _folder_of_its_own() -> Path:
    """A folder with a short path, since paths of sockets are short, that only this user can enter."""
    return Path(tempfile.mkdtemp(prefix="buildyard-"))


async def _told(output: asyncio.StreamReader) -> None:
    """What the child says goes into the log, piece by piece: a full pipe would stop the child."""
    while said := await output.read(_MOST_SAID_BYTES):
        _log.info("dashboard says", text=said.decode(errors="replace").strip()[:500])


async def _asked(socket: Path, target: str, host: str) -> Answer:
    """A GET over a socket file, of HTTP/1.0, so that the answer ends with the connection. ValueError: it is none."""
    if any(character in target + host for character in "\r\n "):
        raise ValueError(target)
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(f"GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, body)


async def _to_child(websocket: WebSocket, child: ClientConnection) -> None:
    """What the visitor types."""
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 - as above

    with suppress(WebSocketDisconnect, ConnectionClosed):
        while True:
            await child.send(await websocket.receive_text())


async def _to_browser(child: ClientConnection, websocket: WebSocket) -> None:
    """What the dashboard draws."""
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415 - as above

    with suppress(WebSocketDisconnect, ConnectionClosed):
        async for message in child:
            if isinstance(message, str):
                await websocket.send_text(message)
            else:
                await websocket.send_bytes(message)
