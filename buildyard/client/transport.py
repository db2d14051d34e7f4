"""The one place that speaks HTTP: a pooled connection, timeouts, and answers turned into values or errors."""

from __future__ import annotations

import codecs
import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from buildyard import __version__
from buildyard.client.answers import error_of_answer
from buildyard.errors import BuildyardError, InvalidSettings, TemporaryError

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
QUIET_STREAM_SECONDS = 60.0

_Shape = TypeVar("_Shape", bound=BaseModel)
Body = AsyncIterator[bytes] | bytes | None


class _Versioned(BaseModel):
    version: str = Field(max_length=40, pattern=r"^[\w.+!-]+$")


class Answer:
    """An answer whose body is still to be read; only valid inside `Transport.open`."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive."""
        return self._response.aiter_bytes()

    def lines(self) -> AsyncIterator[str]:
        r"""The body's lines as they arrive, without `\n`; other line breaks stay inside the line."""
        return _lines(self._response.aiter_bytes())

    def batches(self) -> AsyncIterator[tuple[str, ...]]:
        r"""The whole lines of each piece as it arrives; what the body's end leaves without `\n` is left out."""
        return _batches(self._response.aiter_bytes())


class Transport:
    """HTTP to one address; `part` names who answers there, `unreachable` is the error when nobody does."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        part: str,
        unreachable: type[TemporaryError],
        remedy: str,
        health_path: str = "/healthz",
    ) -> None:
        self.url = url.rstrip("/")
        self._health_path = health_path
        self._part = part
        self._unreachable = unreachable
        self._remedy = remedy
        self._client = httpx.AsyncClient(
            base_url=_checked(self.url),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=30),
            verify=ssl.create_default_context() if self.url.startswith("https:") else _NO_TLS,
            trust_env=not _is_loopback(self.url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def value(
        self,
        method: str,
        path: str,
        shape: type[_Shape],
        *,
        body: BaseModel | None = None,
        params: Mapping[str, object] | None = None,
        also: tuple[int, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> _Shape:
        """Send a request and read its JSON answer as `shape`; `also` are error statuses that carry one too."""
        sent = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
        content = body.model_dump_json(by_alias=True, exclude_none=True).encode() if body is not None else None
        async with self.open(method, path, body=content, headers=sent, params=params, also=also) as answer:
            return await self.read(answer, shape)

    async def read(self, answer: Answer, shape: type[_Shape]) -> _Shape:
        """Read the body of an answer as `shape`."""
        body = b"".join([chunk async for chunk in answer.chunks()])
        try:
            return shape.model_validate_json(body)
        except (ValueError, ValidationError) as error:
            raise await self._misunderstood() from error

    async def _misunderstood(self) -> TemporaryError:
        """Why an answer cannot be read: another version of Buildyard, or something else altogether."""
        with suppress(httpx.HTTPError, httpx.StreamError, ValidationError):
            found = await self._client.get(self._health_path)
            version = _Versioned.model_validate_json(found.content).version
            if version != __version__:
                return self._unreachable(
                    f"The {self._part} at {self.url} is version {version}, this program is {__version__}: "
                    "they do not understand each other.",
                    remedy=f"Use version {version} of buildyard here, or bring the farm to {__version__}.",
                )
        return self._unreachable(
            f"Something at {self.url} answers, but not as Buildyard's {self._part} does.", remedy=self._remedy
        )

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        *,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, object] | None = None,
        also: tuple[int, ...] = (),
        quiet_seconds: float | None = ANSWER_SECONDS,
    ) -> AsyncIterator[Answer]:
        """Send a request and hand out its answer while the body streams.

        `quiet_seconds` is how long the other side may stay silent; None for a stream that may be quiet for ever.

        Raises:
            BuildyardError: the answer is an error; the class says which.
            TemporaryError: nobody answers, or the answer breaks off.
        """
        timeout = httpx.Timeout(quiet_seconds, connect=CONNECT_SECONDS, pool=ANSWER_SECONDS)
        given = {name: _plain(value) for name, value in (params or {}).items() if value is not None}
        try:
            async with self._client.stream(
                method, path, content=body, headers=dict(headers or {}), params=given, timeout=timeout
            ) as response:
                if not response.is_success and response.status_code not in also:
                    raise await self._error(response)
                yield Answer(response)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._unreachable(
                f"The {self._part} at {self.url} cannot be reached: {_cause(error)}.", remedy=self._remedy
            ) from error

    async def _error(self, response: httpx.Response) -> BuildyardError:
        body = await response.aread()
        return error_of_answer(
            response.status_code,
            body,
            retry_after=response.headers.get("Retry-After", ""),
            at=f"{self._part} at {self.url}",
            unreachable=self._unreachable,
        )


def broke_off(error: BuildyardError) -> bool:
    """Whether a request was on its way when its connection broke, so that nobody knows whether it was done."""
    cause = error.__cause__
    never = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
    return isinstance(cause, httpx.TransportError) and not isinstance(cause, never)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest: list[str] = []
    async for chunk in chunks:
        first, *others = decoder.decode(chunk).split("\n")
        rest.append(first)
        for other in others:
            yield "".join(rest)
            rest = [other]
    if last := "".join(rest):
        yield last


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, ...]]:
    rest: list[bytes] = []
    async for chunk in chunks:
        end = chunk.rfind(b"\n")
        if end < 0:
            rest.append(chunk)
            continue
        whole = b"".join((*rest, chunk[:end]))
        rest = [chunk[end + 1 :]]
        yield tuple(whole.decode("utf-8", "replace").split("\n"))


# A plain http address needs no certificates; loading them costs every worker megabytes.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(httpx.URL(url).host) and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        usable = False
    if not usable:
        raise InvalidSettings(f"{url!r} is not an address of an API.", remedy="Give one such as http://127.0.0.1:8000.")
    return url


def _is_loopback(url: str) -> bool:
    """Whether a proxy of the environment must stay out of the way."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _plain(value: object) -> Any:
    return ("1" if value else "0") if isinstance(value, bool) else value


def _cause(error: Exception) -> str:
    names: dict[type[Exception], str] = {
        httpx.ConnectTimeout: f"no connection within {CONNECT_SECONDS:g} s",
        httpx.ReadTimeout: "no answer in time",
        httpx.WriteTimeout: "it takes no more data",
        httpx.PoolTimeout: "too many requests at once",
        httpx.RemoteProtocolError: "it broke off the connection",
        httpx.ReadError: "it broke off the connection",
        httpx.WriteError: "it broke off the connection",
    }
    if str(error) == "All connection attempts failed":
        return "nobody listens there"
    return names.get(type(error)) or str(error).rstrip(".") or type(error).__name__
