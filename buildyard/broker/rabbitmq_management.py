"""RabbitMQ's second source of counts: its management API, and the metrics of its prometheus plugin where it has one.

A passive declare cannot tell a queue that is empty from one that nobody answers for; these can, but they lag. So each
is a witness of its own, with its own age, and a failure of one is told as what it is. Only who scales asks here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

import httpx

from buildyard.broker.rabbitmq_statistics import Sample, Ticks, read_metrics, read_queue
from buildyard.errors import InvalidSettings, UnknownCount
from buildyard.ports import Depth, Uncounted

MANAGEMENT = "rabbitmq management"
METRICS = "rabbitmq metrics"
DEADLINE_SECONDS = 1.0
"""For every request: whoever decides waits for it, and what comes later is no fresh witness."""
SPACING_SECONDS = 1.0
"""Statistics are collected every 5 s: within this time the last answer is given again, with its age."""
COLLECTED_SECONDS = 5.0
"""How much later than the queue's own tick the management API shows it."""
UNMARKED_SECONDS = 10.0
"""The age of statistics that have no mark of their tick: the queue's tick and the collection, 5 s each."""
LOOK_FOR_METRICS_SECONDS = 60.0
_MOST_BYTES = 4 * 2**20


class _Asked(NamedTuple):
    at: float
    answers: tuple[Depth | Uncounted, ...]


class Management:
    """Statistics of the queues of one virtual host.

    Args:
        url: `http://USER:PASSWORD@HOST:15672` or https; a path before `/api` is kept.
        vhost: the virtual host by its plain name.

    Raises:
        InvalidSettings: the URL is none of those.
    """

    def __init__(self, url: str, vhost: str) -> None:
        self._vhost = vhost
        self._address, self._host, credentials = _parts(url)
        secure = self._address.startswith("https:")
        self._client = httpx.AsyncClient(
            auth=credentials,
            timeout=DEADLINE_SECONDS,
            limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
            verify=ssl.create_default_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
        )
        self._ticks = Ticks()
        self._last: dict[str, _Asked] = {}
        self._metrics: str | None = None
        self._metrics_answered = False
        self._looked = float("-inf")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, queue: str) -> tuple[Depth | Uncounted, ...]:
        """What the sources say of a queue; never raises, within twice `DEADLINE_SECONDS`."""
        now = time.monotonic()
        last = self._last.get(queue)
        if last is not None and now - last.at < SPACING_SECONDS:
            return tuple(_older(answer, now - last.at) for answer in last.answers)
        answers = await asyncio.gather(self._ask_management(queue), self._ask_metrics(queue))
        given = tuple(answer for answer in answers if answer is not None)
        self._last[queue] = _Asked(now, given)
        return given

    async def _ask_management(self, queue: str) -> Depth | Uncounted:
        now = time.monotonic()
        path = f"/api/queues/{quote(self._vhost, safe='')}/{quote(queue, safe='')}"
        try:
            sample = read_queue(_json(await _in_time(self._get(self._address + path))))
            return self._depth(MANAGEMENT, queue, sample, now)
        except UnknownCount as error:
            return Uncounted(MANAGEMENT, str(error))

    async def _ask_metrics(self, queue: str) -> Depth | Uncounted | None:
        """The metrics are a further witness: absent where there is no plugin, or it cannot be reached from here.

        Once it has answered it is one whose silence counts, until the server no longer lists it.
        """
        now = time.monotonic()
        if not self._metrics_answered and self._may_look(now):
            self._metrics = await self._find_metrics()
        if self._metrics is None:
            return None
        try:
            text = (await _in_time(self._get(self._metrics, open_to_all=True))).decode("utf-8", errors="replace")
        except UnknownCount as error:
            if not self._metrics_answered:
                self._metrics = None  # not even tried again before the next look: a firewall may let it hang
                return None
            self._metrics_answered = not await self._gone(now)
            return Uncounted(METRICS, str(error))
        self._metrics_answered = True
        try:
            sample = read_metrics(text, self._vhost, queue)
            return None if sample is None else self._depth(METRICS, queue, sample, now)
        except UnknownCount as error:
            return Uncounted(METRICS, str(error))

    def _may_look(self, now: float) -> bool:
        """Whether it is time to look for the metrics, which is then done."""
        if now - self._looked < LOOK_FOR_METRICS_SECONDS:
            return False
        self._looked = now
        return True

    async def _gone(self, now: float) -> bool:
        """Whether the server no longer lists the metrics, as far as it is time to look."""
        if self._may_look(now):
            self._metrics = await self._find_metrics()
        return self._metrics is None

    async def _find_metrics(self) -> str | None:
        """The address of the prometheus plugin, by the list of what the server listens on."""
        try:
            overview = _json(await _in_time(self._get(f"{self._address}/api/overview?columns=listeners")))
        except UnknownCount:
            return None
        listeners = overview.get("listeners") if isinstance(overview, dict) else None
        for listener in listeners if isinstance(listeners, list) else ():
            if isinstance(listener, dict) and listener.get("protocol") == "http/prometheus":
                query = f"family=queue_coarse_metrics&vhost={quote(self._vhost, safe='')}"
                return f"http://{self._host}:{listener.get('port')}/metrics/detailed?{query}"
        return None

    def _depth(self, source: str, queue: str, sample: Sample, now: float) -> Depth:
        """A sample with its age. Raises UnknownCount while that cannot be told."""
        lag = COLLECTED_SECONDS if source == MANAGEMENT else 0.0
        if sample.tick is None:
            age: float | None = UNMARKED_SECONDS
        else:
            seen = self._ticks.age(source, queue, sample.tick, now)
            age = None if seen is None else seen + lag
        if age is None and sample.has_leader is not False:
            raise UnknownCount("No new tick of the statistics was seen yet, so their age is unknown.")
        return Depth(
            ready=sample.ready,
            unacked=sample.unacked,
            consumers=None,
            source=source,
            age_seconds=UNMARKED_SECONDS if age is None else age,
            total=sample.total,
            has_leader=sample.has_leader,
            took_seconds=time.monotonic() - now,
            sampled=True,
        )

    async def _get(self, url: str, *, open_to_all: bool = False) -> bytes:
        """The body of an answer 200. Raises UnknownCount; its sentence holds no address, since URLs hold passwords."""
        try:
            auth = None if open_to_all else httpx.USE_CLIENT_DEFAULT
            async with self._client.stream("GET", url, auth=auth) as response:
                if response.status_code == httpx.codes.NOT_FOUND:
                    raise UnknownCount("It knows no such queue.")
                if response.status_code != httpx.codes.OK:
                    raise UnknownCount(f"It answered with status {response.status_code}.")
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > _MOST_BYTES:
                        raise UnknownCount("Its answer is too long.")
                return bytes(body)
        except httpx.TimeoutException as error:
            raise UnknownCount(_LATE) from error
        except httpx.ConnectError as error:
            raise UnknownCount("It cannot be reached.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnknownCount("It broke off its answer.") from error


_LATE = f"It did not answer within {DEADLINE_SECONDS:g} s."


async def _in_time(question: Awaitable[bytes]) -> bytes:
    """The library's own deadlines are for each piece; this one is for the whole. Raises UnknownCount."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await question
    except TimeoutError as error:
        raise UnknownCount(_LATE) from error


def _json(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnknownCount("Its answer is no JSON.") from error
    return found


def _older(answer: Depth | Uncounted, seconds: float) -> Depth | Uncounted:
    if isinstance(answer, Uncounted):
        return answer
    return Depth(**{**vars(answer), "age_seconds": answer.age_seconds + seconds})


def _parts(url: str) -> tuple[str, str, tuple[str, str]]:
    """Address without credentials, host as written in a URL, credentials."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        raise InvalidSettings(
            "BUILDYARD_BROKER_MANAGEMENT_URL is not the address of a management API.",
            remedy="Write http://USER:PASSWORD@HOST:15672.",
        )
    written = f"[{host}]" if ":" in host else host
    usual = 15671 if parts.scheme == "https" else 15672
    address = f"{parts.scheme}://{written}:{port or usual}{parts.path.rstrip('/')}"
    return address, written, (unquote(parts.username or "guest"), unquote(parts.password or "guest"))
