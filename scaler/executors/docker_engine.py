"""One Docker engine: calls with a deadline from an event loop, streams that can be left, and errors in our words.

The library blocks, so its calls run in threads. Threads that may wait for long (a log that is followed, an image that
is fetched) are daemons: no hung engine keeps this process from ending.
"""

from __future__ import annotations

import asyncio
import queue
import re
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, TLSParameterError
from docker.tls import TLSConfig

from buildyard.errors import BuildyardError, Conflict, InvalidSettings, NotFound, PermanentError, TemporaryError
from scaler.executors.docker_container import trouble

LOOK_SECONDS = 2.5
"""Within so long an engine tells what runs; the scaler waits 3 s for a whole look."""
ACT_SECONDS = 20
"""So long an engine may take to make and start a container; nobody waits for it, the next look sees what came of it."""
_CALLS_AT_ONCE = 8
_LONGEST_LINE = 64 * 1024
_LEAVE_SECONDS = 1.0
_TLS_FILES = ("ca.pem", "cert.pem", "key.pem")

_T = TypeVar("_T")
Client = docker.APIClient


class Engine:
    """A connection to the engine at `host`; it is made at the first call, and again after an outage.

    Raises:
        InvalidSettings: a file of `certificates` is missing or cannot be read.
    """

    def __init__(self, host: str, certificates: str = "") -> None:
        self.host = host
        self._tls = _tls(certificates) if certificates else None
        self._client: Client | None = None
        self._making = threading.Lock()
        self._threads = ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="docker")

    async def call(self, what: Callable[[Client], _T], seconds: float = LOOK_SECONDS) -> _T:
        """Do something with the client in a thread; it goes on there when nobody waits for it any more.

        Raises:
            NotFound: the engine has no such thing.
            Conflict: it has one already, or in another state.
            PermanentError: what was asked can never work.
            TemporaryError: the engine cannot be asked now, or did not answer in time.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                return await loop.run_in_executor(self._threads, self.do, what)
        except TimeoutError:
            raise self._silent(seconds) from None

    def do(self, what: Callable[[Client], _T]) -> _T:
        """The same in the thread of the caller, for as long as it takes."""
        try:
            self._knock()
            return what(self._connected())
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._told(error) from error

    async def lines(self, container: str, tail: int | None, *, follow: bool) -> AsyncGenerator[bytes]:
        """What a container wrote, in pieces of whole lines. Raises as `call` does."""
        reader = _Reader(lambda: self.do(lambda client: _log(client, container, tail, follow=follow)))
        rest = b""
        try:
            while (piece := await reader.next()) is not None:
                rest += piece
                end = rest.rfind(b"\n") + 1 or (len(rest) if len(rest) >= _LONGEST_LINE else 0)
                if end:
                    yield rest[:end]
                    rest = rest[end:]
            if rest:
                yield rest
        except (DockerException, requests.RequestException, OSError) as error:
            raise self._told(error) from error
        finally:
            await reader.aclose()

    def close(self) -> None:
        """Let go of all connections; calls in hand end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._making:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _knock(self) -> None:
        """Fail where nobody listens: the library leaves the socket of a refused connection open."""
        if self.host.startswith("unix://"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(LOOK_SECONDS)
                probe.connect(self.host.removeprefix("unix://"))

    def _connected(self) -> Client:
        with self._making:
            if self._client is None:
                tls = self._tls if self._tls is not None else False
                made = docker.APIClient(self.host, version="auto", timeout=ACT_SECONDS, tls=tls)
                made.trust_env = False  # no proxy stands before an engine
                self._client = made
            return self._client

    # ------------------------------------------------------------------------------------------------ errors

    def _silent(self, seconds: float) -> TemporaryError:
        return TemporaryError(f"The Docker engine at {self.host} did not answer within {seconds:g} s.")

    def _told(self, error: Exception) -> BuildyardError:
        """The error of the library in our words: one sentence with what to do."""
        causes = tuple(_causes(error))
        for one in causes:
            if isinstance(one, APIError) and one.response is not None:
                return _refusal(one.response.status_code, str(one.explanation or ""))
        if any(isinstance(one, requests.Timeout | TimeoutError) for one in causes):
            return self._silent(ACT_SECONDS)
        if any(isinstance(one, requests.exceptions.SSLError) for one in causes):
            return TemporaryError(f"The Docker engine at {self.host} and this client refuse each other's certificates.")
        if any(isinstance(one, PermissionError) for one in causes):
            remedy = "add the scaler's user to the group that owns the socket, or name a rootless engine as docker.host"
            return TemporaryError(f"This user may not use the Docker engine at {self.host}: {remedy}.")
        told = (one.strerror for one in causes if isinstance(one, OSError) and one.strerror)
        remedy = "start it, or correct docker.host of the pool"
        reason = next(told, type(error).__name__)
        return TemporaryError(f"The Docker engine at {self.host} cannot be reached ({reason}): {remedy}.")


def _refusal(status: int, words: str) -> BuildyardError:
    sentence = trouble(words)[1]
    match status:
        case 404:
            return NotFound(sentence)
        case 409:
            return Conflict(sentence)
        case 400:
            return PermanentError(sentence)
        case _:
            return TemporaryError(sentence)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that requests, urllib3 and the library wrapped in it."""
    waiting, seen = [error], {id(error)}
    while waiting:
        one = waiting.pop()
        yield one
        for inner in (*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)):
            if isinstance(inner, BaseException) and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)


def _tls(certificates: str) -> TLSConfig:
    ca, cert, key = (str(Path(certificates) / name) for name in _TLS_FILES)
    try:
        return TLSConfig(client_cert=(cert, key), ca_cert=ca, verify=True)
    except TLSParameterError as error:
        raise InvalidSettings(
            f"The folder {certificates} lacks a certificate of the Docker engine.",
            remedy=f"docker.certificates names a folder with {', '.join(_TLS_FILES)}.",
        ) from error


# ------------------------------------------------------------------------------------------------ streams


def _log(client: Client, container: str, tail: int | None, *, follow: bool) -> Iterator[bytes]:
    stream: Iterator[bytes] = client.logs(
        container, stream=True, follow=follow, tail="all" if tail is None else max(0, tail)
    )
    return stream


class _Reader:
    """A blocking stream, read a piece at a time in a thread of its own, at the pace of who reads."""

    def __init__(self, opening: Callable[[], Iterator[bytes]]) -> None:
        self._opening = opening
        self._stream: Iterator[bytes] | None = None
        self._wishes: queue.SimpleQueue[asyncio.Future[bytes | None] | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="docker log", daemon=True)
        self._thread.start()

    async def next(self) -> bytes | None:
        """The next piece; None at the end."""
        wish: asyncio.Future[bytes | None] = self._loop.create_future()
        self._wishes.put(wish)
        return await wish

    async def aclose(self) -> None:
        """Leave the stream, also in the middle of a silence."""
        self._wishes.put(None)
        self._shut()
        await asyncio.to_thread(self._thread.join, _LEAVE_SECONDS)

    def _shut(self) -> None:
        """Break the connection, which ends a read in the other thread."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            with suppress(Exception):  # it may be over already, in any of the library's ways
                close()

    def _run(self) -> None:
        while (wish := self._wishes.get()) is not None:
            try:
                if self._stream is None:
                    self._stream = self._opening()
                piece = next(self._stream, None)
            except Exception as error:  # noqa: BLE001 - it is raised where the piece is waited for
                self._settle(wish, None, error)
            else:
                self._settle(wish, piece, None)
        self._shut()
        response = getattr(self._stream, "_response", None)
        if response is not None:
            response.close()  # the library breaks the connection and keeps its file open

    def _settle(self, wish: asyncio.Future[bytes | None], piece: bytes | None, error: Exception | None) -> None:
        def settle() -> None:
            if wish.done():
                return
            if error is None:
                wish.set_result(piece)
            else:
                wish.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(settle)


# ------------------------------------------------------------------------------------------------ images


class Pull:
    """An image on its way to an engine, in a thread of its own. `trouble` is why it did not come, once `over`."""

    def __init__(self, engine: Engine, image: str) -> None:
        self.over = False
        self.trouble = ""
        self._engine, self._image = engine, image
        threading.Thread(target=self._run, name="docker pull", daemon=True).start()

    def _run(self) -> None:
        try:
            self.trouble = self._engine.do(self._pulled)
        except BuildyardError as error:
            self.trouble = str(error)
        finally:
            self.over = True

    def _pulled(self, client: Client) -> str:
        name, tag = _image_and_tag(self._image)
        for row in client.pull(name, tag=tag, stream=True, decode=True):
            if isinstance(row, Mapping) and row.get("error"):
                return trouble(str(row["error"]))[1]
        return ""


def _image_and_tag(image: str) -> tuple[str, str | None]:
    """`host:5000/a/b:1` -> (`host:5000/a/b`, `1`); a digest is the tag, as the library has it."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    found = re.fullmatch(r"(.+):([\w.-]+)", image)
    return (found[1], found[2]) if found else (image, "latest")


def engine_name(info: Mapping[str, Any]) -> str:
    """The host name of the machine that an engine runs on, from `GET /info`."""
    return str(info.get("Name") or "")
