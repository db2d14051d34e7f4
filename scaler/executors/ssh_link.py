"""One connection to one host, kept and renewed: questions go to `ssh_remote`, which runs there while it stands.

The only module that speaks SSH. A host's key is always checked against a file of known keys, and nothing is sent to a
host whose key is not in it. What `~/.ssh/config` says does not count: the pool's table tells all.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import asyncssh

from buildyard.contracts.pools_ssh import SshHost
from buildyard.errors import TemporaryError
from buildyard.telemetry import logger
from scaler.executors.ssh_choice import pause_seconds

KEEPALIVE_SECONDS = 5
KEEPALIVES = 3
"""A connection on which so many keepalives in a row were not answered is lost."""
_LATE_ANSWERS = 3
"""After so many answers in a row that did not come in time the connection is made anew."""
_CLOSE_SECONDS = 2.0
_STDERR_BYTES = 2000
_GREETING = b"buildyard\n"
_MODULES = ("processes", "log_file", "ssh_remote")
_OLDEST_PYTHON = "Python 3.11 or newer is needed"
_START = (
    "import sys\n"
    f"if sys.version_info < (3, 11): sys.exit({_OLDEST_PYTHON!r})\n"
    "import json, types\n"
    "for name, text in json.loads(sys.stdin.buffer.readline()):\n"
    "    module = sys.modules[name] = types.ModuleType(name)\n"
    "    exec(compile(text, name, 'exec'), module.__dict__)\n"
    "module.main()\n"
)
"""Run by the host's Python: it reads the sources of our modules from its input, so nothing has to be installed."""

_log = logger("ssh")


class _Client(asyncssh.SSHClient):
    """Remembers the key that a host showed and nobody knows."""

    def __init__(self) -> None:
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Trust no key that the file of known hosts does not name."""
        self.shown = key.get_fingerprint()
        return False


class _Session:
    """Questions and answers over one connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._connection = connection
        self._process = process
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._said = b""
        self.lost: str | None = None
        self.identity = ""
        self._tasks = (asyncio.create_task(self._hear()), asyncio.create_task(self._hear_errors()))

    async def ask(self, ask: str, arguments: dict[str, Any]) -> Any:
        """The answer to a question. Raises TemporaryError: the connection is lost, or the host cannot do it."""
        if self.lost is not None:
            raise TemporaryError(self.lost)
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps({"number": number, "ask": ask, **arguments}).encode() + b"\n")
            return await answer
        except (OSError, asyncssh.Error) as error:
            raise TemporaryError(f"the connection was lost: {error}") from error
        finally:
            del self._waiting[number]

    async def _hear(self) -> None:
        cause = "the connection was lost"
        try:
            while await self._process.stdout.readline() not in (_GREETING, b""):
                pass  # what a login prints before
            while length := await self._process.stdout.readline():
                told = json.loads(await self._process.stdout.readexactly(int(length)))
                waiting = self._waiting.get(told["number"])
                if waiting is not None and not waiting.done():
                    _settle(waiting, told)
            cause = await self._why_it_ended()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncssh.Error) as error:
            cause = f"the connection was lost: {error}"
        finally:
            self.lost = cause
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(TemporaryError(cause))

    async def _hear_errors(self) -> None:
        with suppress(OSError, asyncssh.Error):
            while piece := await self._process.stderr.read(_STDERR_BYTES):
                self._said = (self._said + piece)[-_STDERR_BYTES:]

    async def _why_it_ended(self) -> str:
        """The last words of the host's Python, or of its shell when there is no Python."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.shield(self._tasks[1])
        lines = self._said.decode(errors="replace").strip().splitlines()
        return f"its Python ended: {lines[-1]}" if lines else "the connection was lost"

    async def aclose(self) -> None:
        """End the connection; workers stay."""
        self._connection.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abort(self) -> None:
        """Drop a connection that nobody answers on."""
        self._connection.abort()


def _settle(waiting: asyncio.Future[Any], told: dict[str, Any]) -> None:
    if "trouble" in told:
        waiting.set_exception(TemporaryError(str(told["trouble"])))
    else:
        waiting.set_result(told["value"])


class HostLink:
    """One host, asked over one connection that is renewed by itself.

    Args:
        host: with the pool's settings filled in.
        connect_seconds: the longest a connection may take to stand.
        answer_seconds: the longest a question may take, a new connection included.
        monotonic: seconds that never go back.
        chance: a random number from 0 to 1, for the pause between attempts to connect.
    """

    def __init__(
        self,
        host: SshHost,
        *,
        connect_seconds: float,
        answer_seconds: float,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.host = host
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._monotonic = monotonic
        self._chance = chance
        self._session: _Session | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connecting_since = 0.0
        self._failures = 0
        self._again_at = 0.0
        self._trouble = ""
        self._identity = ""
        self._late = 0
        self._closed = False

    async def ask(self, ask: str, /, **arguments: Any) -> Any:
        """The host's answer.

        Raises:
            TemporaryError: it cannot be asked, or it cannot do it; with its cause in words.
        """
        try:
            async with asyncio.timeout(self._answer_seconds):
                session = await self._connected()
                answer = await session.ask(ask, {"data_dir": self.host.data_dir, **arguments})
        except TimeoutError:
            raise TemporaryError(self._unanswered()) from None
        self._late = 0
        return answer

    @property
    def identity(self) -> str:
        """A word that tells the host's data folder from all others; empty before it was asked the first time."""
        return self._identity

    async def aclose(self) -> None:
        """Let go of the connection; workers stay."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._session is not None:
            await self._session.aclose()

    def _unanswered(self) -> str:
        if self._session is None:
            return f"no connection stands yet after {self._answer_seconds:g} s"
        self._late += 1
        if self._late >= _LATE_ANSWERS:
            self._late = 0
            self._session.abort()
        return f"it did not answer within {self._answer_seconds:g} s"

    # ------------------------------------------------------------------------------------------------ connecting

    async def _connected(self) -> _Session:
        """The connection that stands, or a new one, on which many may wait together. Raises TemporaryError."""
        if self._session is not None and self._session.lost is None:
            return self._session
        if self._connecting is None:
            if self._session is not None:
                self._note_loss(self._session)
            if self._closed or self._monotonic() < self._again_at:
                raise TemporaryError(self._trouble or "it is not asked any more")
            self._connecting = asyncio.create_task(self._connect(), name=f"connect {self.host.name}")
            self._connecting.add_done_callback(self._tried)
            self._connecting_since = self._monotonic()
        elif self._monotonic() - self._connecting_since >= self._answer_seconds:
            raise TemporaryError(self._unanswered())  # one has waited in vain: the pool's other hosts shall not, too
        await asyncio.shield(self._connecting)
        if self._session is None:
            raise TemporaryError(self._trouble)
        return self._session

    def _tried(self, _: asyncio.Task[None]) -> None:
        self._connecting = None

    def _note_loss(self, session: _Session) -> None:
        """A connection that stood and was lost is renewed at once; only failures to connect make a pause."""
        _log.warning("the connection to a host was lost", host=self.host.name, cause=session.lost)
        session.abort()
        self._session = None

    async def _connect(self) -> None:
        """Connect, or note why that failed and when to try again. Raises nothing."""
        client = _Client()
        try:
            self._session = await self._open(client)
        except (OSError, ValueError, TemporaryError, asyncssh.Error) as error:
            self._failures += 1
            self._again_at = self._monotonic() + pause_seconds(self._failures, self._chance())
            trouble = self._in_words(error, client)
            if trouble != self._trouble:
                _log.warning("a host cannot be reached", host=self.host.name, cause=trouble)
            self._trouble = trouble
        else:
            self._failures, self._trouble = 0, ""
            self._identity = self._session.identity

    async def _open(self, client: _Client) -> _Session:
        host = self.host
        keys: dict[str, Any] = {}
        if host.key_file:
            keys = {"client_keys": [_path(host.key_file)], "agent_path": None}
        connection = await asyncssh.connect(
            host.address,
            host.port,
            username=host.user or (),
            known_hosts=asyncssh.read_known_hosts(_path(host.known_hosts)),
            client_factory=lambda: client,
            config=None,
            preferred_auth="publickey",
            agent_forwarding=False,
            connect_timeout=self._connect_seconds,
            login_timeout=self._connect_seconds,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVES,
            **keys,
        )
        session: _Session | None = None
        try:
            async with asyncio.timeout(self._connect_seconds):
                python = shlex.join([host.python, "-I", "-c", _START])
                process = await connection.create_process(python, encoding=None)
                session = _Session(connection, process)
                process.stdin.write(_sources())
                session.identity = await session.ask("hello", {"data_dir": host.data_dir})
        except BaseException:
            connection.abort()
            if session is not None:
                await session.aclose()
            raise
        return session

    def _in_words(self, error: Exception, client: _Client) -> str:  # noqa: PLR0911 - one sentence each
        """Why a connection did not come to stand, and what to do where something can be done."""
        host = self.host
        place = f"{host.address}:{host.port}"
        match error:
            case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed() if self._is_unknown():
                return (
                    f"{host.known_hosts} names no key for {place}; compare what `ssh-keyscan -p {host.port}"
                    f" {host.address}` prints with the host itself, then add it"
                )
            case asyncssh.HostKeyNotVerifiable() | asyncssh.KeyExchangeFailed():
                shown = f" {client.shown}" if client.shown else ""
                return (
                    f"{place} shows another key{shown} than {host.known_hosts} names: another machine answers, or the"
                    " host was set up anew; compare its key with the host itself before the line is replaced"
                )
            case asyncssh.PermissionDenied():
                key = host.key_file or "the usual keys"
                return f"{place} refuses the login of {host.user or 'this user'} with {key}; see its authorized_keys"
            case TimeoutError():
                return f"{place} did not answer within {self._connect_seconds:g} s"
            case FileNotFoundError() | PermissionError() | asyncssh.KeyImportError() | asyncssh.KeyEncryptionError():
                return (
                    f"{getattr(error, 'filename', None) or host.key_file or host.known_hosts} cannot be read: {error}"
                )
            case OSError():
                return f"{place}: {os.strerror(error.errno) if error.errno else error}"
            case TemporaryError():
                return f"{place}, {host.python}: {error}"
            case _:
                return f"{place}: {error}"

    def _is_unknown(self) -> bool:
        host = self.host
        with suppress(OSError, ValueError):
            known = asyncssh.read_known_hosts(_path(host.known_hosts))
            return not any(known.match(host.address, "", host.port))
        return False


def _path(text: str) -> str:
    return str(Path(text).expanduser())


def _sources() -> bytes:
    """The modules that run on a host, as one line of JSON."""
    here = Path(__file__).parent
    texts = [(f"scaler.executors.{name}", (here / f"{name}.py").read_text(encoding="utf-8")) for name in _MODULES]
    return json.dumps(texts).encode() + b"\n"
