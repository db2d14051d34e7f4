"""The log of a worker's pod, in pieces of whole lines, followed across streams that break.

Each line is asked for with the time at which it was written. When a stream ends although the container runs on, the
next one begins at that second, and what was told already is left out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from http import HTTPStatus

from buildyard.errors import NotFound, TemporaryError
from scaler.executors.kubernetes_answers import Refusal, error_of
from scaler.executors.kubernetes_connection import Connection
from scaler.executors.kubernetes_job import CONTAINER
from scaler.executors.kubernetes_pods import PodSight
from scaler.executors.kubernetes_view import View, lines

_LOOK_SECONDS = 1.0
_LEAST_STAMP = len("2026-11-21T09:00:00Z")


async def pod_log(
    connection: Connection, view: View, pod_of: Callable[[], PodSight | None], *, follow: bool, tail: int | None
) -> AsyncGenerator[bytes]:
    """What a worker wrote; `pod_of` gives its pod, None once its pod is gone.

    Raises:
        NotFound: the pod is gone, and its log with it.
        TemporaryError: the cluster cannot be asked.
    """
    since = ""
    while True:
        pod = pod_of()
        if pod is None:
            if since:
                return
            raise NotFound("Its pod is gone, and its log with it.")
        ended = pod.over
        if pod.ran or ended:
            async for stamp, line in _stream(connection, view.pods_path, pod.name, since, follow=follow, tail=tail):
                if stamp <= since:
                    continue
                since, tail = stamp or since, None
                yield line
        if not follow or ended:
            return
        await view.changed(_LOOK_SECONDS)


async def _stream(
    connection: Connection, pods_path: str, pod: str, since: str, *, follow: bool, tail: int | None
) -> AsyncGenerator[tuple[str, bytes]]:
    """The lines of one stream with the times at which they were written."""
    query = {
        "container": CONTAINER,
        "timestamps": "true",
        "follow": "true" if follow else "",
        "tailLines": tail,
        "sinceTime": f"{since[:19]}Z" if since else "",
    }
    try:
        async with connection.stream(f"{pods_path}/{pod}/log", query, silence_seconds=None) as chunks:
            async for line in lines(chunks):
                yield _stamped(line)
    except Refusal as error:
        if error.status == HTTPStatus.NOT_FOUND:
            raise NotFound(f"The log of {pod} is gone: {error.message}.") from error
        if error.status == HTTPStatus.BAD_REQUEST:  # its container is not there yet, or not any more
            return
        raise error_of(error, f"read the log of {pod}") from error
    except TemporaryError:
        if not follow:
            raise


def _stamped(line: bytes) -> tuple[str, bytes]:
    """A line's time and its text; a line without a time, as some servers send them, has none."""
    stamp, space, text = line.partition(b" ")
    if space and len(stamp) >= _LEAST_STAMP and stamp[:4].isdigit() and stamp[10:11] == b"T":
        return stamp.decode(errors="replace"), text
    return "", line
