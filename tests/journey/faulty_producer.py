"""`python -m tests.journey.faulty_producer`: the producer, which kills itself (SIGKILL) at each of MOMENTS, once.

BUILDYARD_FAULT_FOLDER is where each death leaves a folder of its name: who makes it dies, so none dies twice there.
Uploads are scanned, so that there is an admission to die in; a producer that is gone is succeeded within a second.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from buildyard.broker import open_broker
from buildyard.contracts.messages import REPORT, AttemptOver, AttemptReport, JobFinished, read_message
from buildyard.objects import open_objects
from buildyard.ports import Broker, Channel, Delivery, ObjectInfo, ObjectStore
from orchestrator import app
from orchestrator.__main__ import main
from orchestrator.reports import Reports
from orchestrator.scan import Scanner
from orchestrator.service.recording import Recording
from orchestrator.store import transaction
from orchestrator.store.transaction import Saved, Transaction

FOLDER = "BUILDYARD_FAULT_FOLDER"
IN_UPLOAD, UPLOADED, IN_SCAN, ADMITTED, PUBLISHED, RECORDING, RECORDED = MOMENTS = (
    "in the middle of an upload",
    "after an upload is stored, before its build is committed",
    "in the middle of an admission",
    "after a commit, before its ticket is published",
    "after a ticket is confirmed, before it leaves the outbox",
    "before the commit of a report",
    "after the commit of a report, before its acknowledgement",
)


def die(moment: str) -> None:
    """End this process as if its power were cut, unless it died of this before."""
    try:
        Path(os.environ[FOLDER], moment).mkdir()
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_broker(url: str, management_url: str = "") -> Broker:
    broker = open_broker(url, management_url)
    publish = broker.publish

    async def dying(channel: Channel, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None) -> None:
        ticket = channel.name.startswith("jobs.")
        if ticket:
            die(ADMITTED)
        await publish(channel, bodies, headers)
        if ticket:
            die(PUBLISHED)

    broker.publish = dying  # type: ignore[method-assign] # that is the fault
    return broker


def _dying_objects(url: str) -> ObjectStore:
    objects = open_objects(url)
    put, move = objects.put, objects.move

    async def dying_put(key: str, chunks: AsyncIterator[bytes] | bytes) -> ObjectInfo:
        if isinstance(chunks, bytes):
            return await put(key, chunks)

        async def begun() -> AsyncIterator[bytes]:
            passed = 0
            async for chunk in chunks:
                yield chunk
                passed += len(chunk)
                if passed > 9 * 2**20:  # some of it is on the disk by then
                    die(IN_UPLOAD)

        return await put(key, begun())

    async def dying_move(source: str, target: str) -> None:
        await move(source, target)
        die(UPLOADED)

    objects.put, objects.move = dying_put, dying_move  # type: ignore[method-assign] # that is the fault
    return objects


class _DyingScanner:
    instant = False

    async def scan(self, chunks: AsyncIterator[bytes]) -> str | None:
        async for _ in chunks:
            die(IN_SCAN)
        return None


def _dying_scanner(_url: str) -> Scanner:
    return _DyingScanner()


def arm() -> None:
    """Put the deaths where they belong."""
    vars(app).update(open_broker=_dying_broker, open_objects=_dying_objects, open_scanner=_dying_scanner)
    transaction.CLAIM_SECONDS = 1
    record, ack = Recording._record_attempt, Reports._ack

    async def dying_record(self: Recording, tx: Transaction, report: AttemptReport) -> Saved | AttemptOver | None:
        saved = await record(self, tx, report)
        if isinstance(report, JobFinished):
            die(RECORDING)
        return saved

    async def dying_ack(self: Reports, delivery: Delivery) -> None:
        if isinstance(read_message(REPORT, delivery.body), JobFinished):
            die(RECORDED)
        await ack(self, delivery)

    Recording._record_attempt = dying_record  # type: ignore[method-assign] # that is the fault
    Reports._ack = dying_ack  # type: ignore[method-assign] # that is the fault


if __name__ == "__main__":
    if FOLDER in os.environ:
        arm()
    sys.exit(main())
