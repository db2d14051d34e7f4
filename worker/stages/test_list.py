"""Storing the test list of a build: its suites and its cases, as an object beside its log."""

from __future__ import annotations

import asyncio

from buildyard.contracts.builds import StageName
from buildyard.contracts.testing import LIST_NAME, TestListHead
from buildyard.errors import ObjectsUnavailable
from worker.attempt import Attempt
from worker.toolchains.results import Results

_TRIES = 6
_FIRST_PAUSE = 0.5


async def store_tests(attempt: Attempt, results: Results) -> str:
    """Store the list; its key, or "" where it could not be stored.

    No outage of the object store decides about tests that ran: their counts and first failures are told without it.
    """
    key = f"{attempt.spec.output_prefix}{LIST_NAME}"
    body = await asyncio.to_thread(_written, results)
    pause = _FIRST_PAUSE
    for number in range(1, _TRIES + 1):
        try:
            await attempt.objects.put(key, body)
        except ObjectsUnavailable as error:
            if attempt.stop.stopped():
                return ""
            left = "the list of tests is left out" if number == _TRIES else "the list of tests waits"
            await attempt.log.note(StageName.TEST, f"{left}: {error}")
        else:
            return key
        if number < _TRIES:
            await asyncio.sleep(pause)
            pause *= 2
    return ""


def _written(results: Results) -> bytes:
    head = TestListHead(suites=results.suites, cases=len(results.cases))
    return b"".join(line.encode() + b"\n" for line in (head, *results.cases))
