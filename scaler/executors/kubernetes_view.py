"""A local view of a farm's Jobs and pods: listed once, then watched, and believed only while it is fresh.

A watch is resumed where it ended; one that asks for what is no longer kept (410) begins with a new list. A stream may
be dead without a word, and a cluster may hang: so the view counts only if both watches are open and the API server has
answered a small question within the last half second. After a question that was not answered in time both watches are
opened anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from buildyard.clock import Clock
from buildyard.errors import TemporaryError
from buildyard.telemetry import logger
from scaler.executors.kubernetes_answers import Refusal, as_temporary, error_of, refusal
from scaler.executors.kubernetes_connection import CALL_SECONDS, Connection
from scaler.executors.kubernetes_job import selector
from scaler.executors.kubernetes_pods import JobSight, PodSight, Warned, job_sight, newest_warnings, pod_sight

FRESH_SECONDS = 0.5
"""An answer of the API server counts for so long."""
PAGE = 500
PAGE_SECONDS = 15.0
"""A page may take longer than what a tick waits for: meanwhile nobody knows, and the next tick asks again."""
_WATCH_SECONDS = 300
_SILENCE_SECONDS = 150.0
"""A watch tells about once a minute that it lives, with a bookmark."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 0.5
_EXPLAIN_SECONDS = 2.0
_MOST_WARNINGS = 5000

_log = logger("kubernetes")


class _Sight(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> str: ...


_S = TypeVar("_S", bound=_Sight)


class Watched(Generic[_S]):
    """All objects of one kind that a selector names, by name, as they were told last."""

    def __init__(
        self, connection: Connection, path: str, chosen: str, sight: Callable[[Mapping[str, Any]], _S | None]
    ) -> None:
        self.items: dict[str, _S] = {}
        self.trouble: TemporaryError | None = TemporaryError("The cluster's objects are not listed yet.")
        """Why the items may be out of date; None: the watch is open."""
        self.settled = asyncio.Event()
        """Set when the first attempt has ended, whether it worked or not."""
        self.on_change: Callable[[], None] = lambda: None
        self._connection = connection
        self._path = path
        self._chosen = chosen
        self._sight = sight
        self._version = ""
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to watch; anew, if it was begun before."""
        if self._task is not None:
            self._task.cancel()
            self.trouble = TemporaryError("The cluster's objects are watched anew.")
            self.settled.clear()
        self._task = asyncio.create_task(self._run(), name=f"watch {self._path}")

    async def close(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def put(self, raw: Mapping[str, Any]) -> None:
        """Take an object, unless a newer version of it is known."""
        found = self._sight(raw)
        if found is None:
            return
        known = self.items.get(found.name)
        if known is None or _order(known.version) <= _order(found.version):
            self.items[found.name] = found
            self.on_change()

    # ------------------------------------------------------------------------------------------------ watching

    async def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                pause = _FIRST_PAUSE
            except Refusal as error:
                if error.gone:
                    self._version = ""  # a new list tells what was missed; until then nobody knows
                    self.trouble = TemporaryError("The cluster's objects are listed anew.")
                    self.settled.clear()
                else:
                    self._failed(as_temporary(error_of(error, f"watch {self._path}")))
            except TemporaryError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - a watch that ended would leave a view that is believed for ever
                _log.exception("an answer of the API server cannot be read", path=self._path)
                self._version = ""
                self._failed(TemporaryError(f"The API server's answer cannot be read: {type(error).__name__}."))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _failed(self, error: TemporaryError) -> None:
        if self.trouble is None or str(self.trouble) != str(error):
            _log.warning("the cluster cannot be watched", path=self._path, cause=str(error))
        self.trouble = error
        self.settled.set()
        self.on_change()

    async def _list(self) -> None:
        """All objects as they are now; what was made here meanwhile is newer than the list and stays."""
        found: dict[str, _S] = {}
        query = {"labelSelector": self._chosen, "limit": PAGE}
        while True:
            page = await self._connection.call("GET", self._path, query=query, seconds=PAGE_SECONDS)
            for raw in page.get("items") or ():
                if (one := self._sight(raw)) is not None:
                    found[one.name] = one
            version = page["metadata"]["resourceVersion"]
            if not (following := page["metadata"].get("continue")):
                break
            query["continue"] = following
        for name, known in self.items.items():
            if name not in found and _order(known.version) > _order(version):
                found[name] = known
        self.items, self._version = found, version
        self.on_change()

    async def _watch(self) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": self._chosen,
            "resourceVersion": self._version,
            "timeoutSeconds": _WATCH_SECONDS,
        }
        async with self._connection.stream(self._path, query, silence_seconds=_SILENCE_SECONDS) as chunks:
            self.trouble = None
            self.settled.set()
            async for line in lines(chunks):
                self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, raw = event["type"], event["object"]
        if kind == "ERROR":
            raise refusal(int(raw.get("code") or 500), json.dumps(raw).encode(), "The watch")
        self._version = raw["metadata"]["resourceVersion"]
        if kind == "DELETED":
            known = self.items.get(raw["metadata"]["name"])
            if known is not None and known.uid == raw["metadata"]["uid"]:
                del self.items[known.name]
                self.on_change()
        elif kind != "BOOKMARK":
            self.put(raw)


class View:
    """The Jobs and pods of one farm in one namespace, and why pods wait."""

    def __init__(self, connection: Connection, namespace: str, farm: str, clock: Clock) -> None:
        chosen = selector(farm)
        self.jobs_path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods_path = f"/api/v1/namespaces/{namespace}/pods"
        self.warnings: dict[str, Warned] = {}
        self._events_path = f"/api/v1/namespaces/{namespace}/events"
        self._connection = connection
        self._chosen = chosen
        self._clock = clock
        self._jobs: Watched[JobSight] = Watched(connection, self.jobs_path, chosen, job_sight)
        self._pods: Watched[PodSight] = Watched(connection, self.pods_path, chosen, pod_sight)
        self._by_worker: dict[str, list[PodSight]] | None = None
        self._changed = asyncio.Event()
        self._explaining: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._answered_at: float | None = None
        self._unanswered = False

    @property
    def jobs(self) -> Mapping[str, JobSight]:
        """Jobs by name."""
        return self._jobs.items

    @property
    def pods(self) -> Mapping[str, list[PodSight]]:
        """Pods by worker."""
        if self._by_worker is None:
            self._by_worker = {}
            for pod in self._pods.items.values():
                self._by_worker.setdefault(pod.worker, []).append(pod)
        return self._by_worker

    @property
    def ready(self) -> bool:
        """Whether both watches are open."""
        return self._jobs.trouble is None and self._pods.trouble is None

    def open(self, waiting: Callable[[], bool]) -> None:
        """Begin to watch, once; `waiting` tells whether some pods wait, so that warnings are of interest."""
        if self._explaining is None:
            for watched in (self._jobs, self._pods):
                watched.on_change = self._note
                watched.open()
            self._explaining = asyncio.create_task(self._explain(waiting), name="read events")

    async def close(self) -> None:
        """Watch no more."""
        for task in (self._explaining, self._asking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._jobs.close()
        await self._pods.close()

    def add_job(self, raw: Mapping[str, Any]) -> None:
        """A Job that was made just now: it is there before the watch tells of it."""
        self._jobs.put(raw)

    async def confirm(self) -> None:
        """Return when the view may be believed.

        Raises:
            TemporaryError: it is out of date, or nobody knows.
        """
        now = self._clock.monotonic()
        if self._answered_at is None or now - self._answered_at > FRESH_SECONDS:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask(), name="ask the API server")
                self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.shield(self._asking)
        for watched in (self._jobs, self._pods):
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    await watched.settled.wait()
            except TimeoutError:
                raise TemporaryError(f"The Kubernetes API server did not answer within {CALL_SECONDS:g} s.") from None
            if watched.trouble is not None:
                raise watched.trouble

    async def changed(self, seconds: float) -> None:
        """Wait until something changes, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    # ------------------------------------------------------------------------------------------------ inside

    def _note(self) -> None:
        self._by_worker = None
        self._changed.set()
        self._changed = asyncio.Event()

    async def _ask(self) -> None:
        """A question as small as there is: one Job."""
        at = self._clock.monotonic()
        try:
            await self._connection.call("GET", self.jobs_path, query={"labelSelector": self._chosen, "limit": 1})
        except Refusal as error:
            raise as_temporary(error_of(error, f"read {self.jobs_path}")) from error
        except TemporaryError:
            self._unanswered = True
            raise
        self._answered_at = at
        if self._unanswered:  # what was open then may be dead without a word
            self._unanswered = False
            self._jobs.open()
            self._pods.open()

    async def _explain(self, waiting: Callable[[], bool]) -> None:
        """Read the newest warnings while pods wait: they tell of quotas and volumes."""
        told = False
        while True:
            try:
                self.warnings = newest_warnings(await self._read_warnings()) if waiting() else {}
                told = False
            except TemporaryError as error:
                if not told:
                    _log.warning("the reasons of waiting pods cannot be read", cause=str(error))
                told = True
            await asyncio.sleep(_EXPLAIN_SECONDS)

    async def _read_warnings(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        query = {"fieldSelector": "type=Warning", "limit": PAGE}
        while len(found) < _MOST_WARNINGS:
            page = await self._connection.call("GET", self._events_path, query=query, seconds=PAGE_SECONDS)
            found += page.get("items") or ()
            if not (following := page["metadata"].get("continue")):
                break
            query["continue"] = following
        return found


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines with their ends, of any length; what comes after the last end is the last line."""
    rest = bytearray()
    async for chunk in chunks:
        rest += chunk
        if b"\n" not in chunk:
            continue
        *whole, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            yield line + b"\n"
    if rest:
        yield bytes(rest)


def _order(version: str) -> int:
    """Versions of one cluster grow; one that is no number counts as the newest."""
    return int(version) if version.isdigit() else 2**63
