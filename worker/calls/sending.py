"""The one place that speaks HTTP to services: one request, bounded in time and size, without redirects and cookies."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Self

import httpx

from buildyard.clock import Clock
from buildyard.errors import Forbidden
from buildyard.project.call_section import MAX_KEPT_BYTES, CallOptions
from worker.calls.addresses import Address, check_resolved
from worker.calls.retrying import Answer, Fault
from worker.calls.row_call import Call
from worker.resolving import addresses_of
from worker.streams import closed

MAX_JSON_BYTES = 1024 * 1024
"""An answer of which fields are kept may be so large."""
_REMEMBERED_SECONDS = 60.0
"""How long the addresses of a name are good for."""
_MOST_ADDRESSES = 4
_KEPT_ALIVE_SECONDS = 5.0
_NAMES = {"user-agent": "buildyard", "accept": "*/*", "accept-encoding": "identity"}
_NO_CONNECTION = (httpx.ConnectError, httpx.ConnectTimeout)


class Sender:
    """Sends calls over connections it keeps; `async with` closes them."""

    def __init__(self, options: CallOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}
        self._resolved: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._timeout = {
            "connect": options.connect_seconds,
            "read": options.read_seconds,
            "write": options.read_seconds,
            "pool": options.whole_seconds,
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports.values():
            await transport.aclose()

    async def send(self, call: Call) -> Answer | Fault:
        """Send a call once; whatever goes wrong is a Fault with its cause."""
        try:
            async with asyncio.timeout(self._options.whole_seconds):
                return await self._sent(call)
        except TimeoutError:
            return Fault(f"no whole answer within {self._options.whole_seconds:g} s")
        except Forbidden as error:
            return Fault(f"{error} {error.remedy}".rstrip(". "), temporary=False)
        except (httpx.HTTPError, httpx.StreamError, ssl.SSLError) as error:
            return Fault(self._cause(error))
        except (httpx.InvalidURL, ValueError) as error:
            return Fault(f"the request cannot be sent ({type(error).__name__})", temporary=False)

    async def _sent(self, call: Call) -> Answer | Fault:
        """Send to the first address of the service that takes a connection."""
        found = await self._addresses(call.address)
        if not found:
            return Fault("its name could not be found")
        for place in found[:-1]:
            try:
                return await self._answered(call, place)
            except _NO_CONNECTION:
                continue
        return await self._answered(call, found[-1])

    async def _addresses(self, address: Address) -> tuple[str, ...]:
        """The checked addresses of a service; the connection goes to one of these and to no other."""
        now = self._clock.monotonic()
        until, known = self._resolved.get(address.service, (0.0, ()))
        if not known or now > until:
            try:
                known = (await addresses_of(address.host, address.port))[:_MOST_ADDRESSES]
            except (OSError, UnicodeError):
                return ()
            self._resolved[address.service] = (now + _REMEMBERED_SECONDS, known)
        for one in known:  # for each call: what one scheme is allowed, another may not be
            check_resolved(address, one)
        return known

    async def _answered(self, call: Call, place: str) -> Answer:
        address = call.address
        host = f"[{place}]" if ":" in place else place
        request = httpx.Request(
            call.method,
            f"{address.scheme}://{host}:{address.port}{address.target}",
            headers={**_NAMES, **dict(call.headers)},
            content=call.body or None,
            # the certificate has to be the one of the name, not of the address
            extensions={"timeout": self._timeout, "sni_hostname": address.host.strip("[]")},
        )
        response = await self._transport(address).handle_async_request(request)
        try:
            body, cut = await self._body(response)
        finally:
            await response.aclose()
        return Answer(
            response.status_code,
            body,
            cut,
            response.headers.get("retry-after", "")[:100],
            response.headers.get("content-encoding", "").strip().lower(),
        )

    async def _body(self, response: httpx.Response) -> tuple[bytes, bool]:
        """As much of the body as is wanted, and whether it goes on."""
        most = MAX_JSON_BYTES if self._options.fields else MAX_KEPT_BYTES
        body = b""
        async with closed(response.aiter_raw()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > most:
                    return body[:most], True
        return body, False

    def _transport(self, address: Address) -> httpx.AsyncHTTPTransport:
        """The connections to one service: none is ever used for another, though it may have the same address."""
        name = f"{address.scheme}://{address.service}"
        if name not in self._transports:
            most = self._options.concurrency
            self._transports[name] = httpx.AsyncHTTPTransport(
                verify=ssl.create_default_context(),
                trust_env=False,
                limits=httpx.Limits(
                    max_connections=most, max_keepalive_connections=most, keepalive_expiry=_KEPT_ALIVE_SECONDS
                ),
            )
        return self._transports[name]

    def _cause(self, error: Exception) -> str:
        """What went wrong, in words that hold nothing of the request."""
        options = self._options
        causes: Mapping[type[Exception], str] = {
            httpx.ConnectTimeout: f"no connection within {options.connect_seconds:g} s",
            httpx.ReadTimeout: f"no answer within {options.read_seconds:g} s",
            httpx.WriteTimeout: f"it took no data for {options.read_seconds:g} s",
            httpx.PoolTimeout: "too many connections at once",
            httpx.ConnectError: "no connection",
            httpx.ReadError: "it broke off the connection",
            httpx.WriteError: "it broke off the connection",
            httpx.RemoteProtocolError: "it broke off the connection, or does not speak HTTP",
        }
        deeper: BaseException | None = error
        while deeper is not None:
            if isinstance(deeper, ssl.SSLCertVerificationError):
                return f"its certificate is not trusted ({deeper.verify_message})"
            deeper = deeper.__cause__ or deeper.__context__
        return causes.get(type(error), f"the call failed ({type(error).__name__})")
