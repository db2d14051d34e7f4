"""The life of one backed pod: wait until it can start, run its process, end it when it has to, tell how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

from scaler.executors.processes import kill_marked
from tests.cluster.audit import Audit, Ended, How, Lease, Witness, agent_of
from tests.cluster.container import Plan, Pod, Waiting, plan
from tests.cluster.kubelet_api import Gone, KubeletApi
from tests.cluster.pod_log import Stamps, keep
from tests.cluster.pod_status import Status, ended, now, running, terminated, waiting

MARK = "BUILDYARD_TEST_POD"
"""In the environment of a pod's processes: its uid."""
START_DELAY = "buildyard.test/start-seconds"
"""Annotation of a pod: so long it is Pending after its node is known, as behind a slow pull."""
_AGAIN_SECONDS = 1.0
_PULLING = {"ErrImagePull": "ImagePullBackOff"}
_CANNOT_START = 128
_NEVER_STARTED = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}


class PodProcess:
    """One pod. `told` is called with every new version of it, `vanished` once it is no longer there."""

    def __init__(self, pod: Pod, folder: Path, api: KubeletApi, audit: Audit) -> None:
        self.pod = pod
        self.folder = folder
        self.log = folder / "log"
        self.waits_for = "ContainerCreating"
        self._api = api
        self._audit = audit
        self._changed = asyncio.Event()
        self._vanished = False
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None
        self._started_at = self._agent = self._ended_for = ""
        self._stamps = Stamps()
        self._restarts = 0
        self._begun = time.monotonic()

    # ---------------------------------------------------------------- what the watch tells

    def told(self, pod: Pod) -> None:
        """A newer version of the pod."""
        self.pod = pod
        self._changed.set()

    def vanished(self) -> None:
        """The pod was taken out of the API server."""
        self._vanished = True
        self._changed.set()

    @property
    def runs(self) -> bool:
        """Whether its process was started and goes on."""
        return self._process is not None and self._process.returncode is None

    @property
    def writes(self) -> bool:
        """Whether its log may still grow."""
        return self._output is not None and not self._output.done()

    @property
    def started(self) -> bool:
        """Whether there is a log to read."""
        return self.log.exists()

    # ---------------------------------------------------------------- its life

    async def live(self) -> None:
        """Everything from the moment the pod has a node to its last status."""
        self.folder.mkdir(parents=True)
        with contextlib.suppress(Gone):
            while self._leaving is None:
                made = await self._prepared()
                if made is None:
                    break
                state = await self._run(made)
                if self._leaving is not None or not self._again(state):
                    await self._tell_end(state)
                    return
                await self._back_off(state)
            await self._remove_unstarted()

    @property
    def _leaving(self) -> str | None:
        """Why its process has to end: a word for the audit, or None."""
        if self._vanished or self.pod["metadata"].get("deletionGracePeriodSeconds") == 0:
            return "Forced"
        if "deletionTimestamp" in self.pod["metadata"]:
            conditions = self.pod.get("status", {}).get("conditions") or ()
            disruption = [one.get("reason", "") for one in conditions if one["type"] == "DisruptionTarget"]
            return disruption[0] if disruption else "Deleted"
        if self._seconds_left is not None and self._seconds_left <= 0:
            return "DeadlineExceeded"
        return None

    @property
    def _seconds_left(self) -> float | None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        return None if limit is None else limit - (time.monotonic() - self._begun)

    async def next_change(self, seconds: float | None = None) -> None:
        """Return when the pod has changed or `seconds` are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()

    async def _prepared(self) -> Plan | None:
        """What to run, once all it needs is there; None when the pod has to go before that."""
        delay = float(self.pod["metadata"].get("annotations", {}).get(START_DELAY, 0))
        until, said = self._begun + delay, ""
        while self._leaving is None:
            try:
                made = await plan(self.pod, self.folder, self._api.find)
                if time.monotonic() >= until:
                    return made
                self.waits_for, message = "ContainerCreating", ""
            except Waiting as error:
                self.waits_for = _PULLING.get(error.reason, error.reason) if said else error.reason
                message = str(error)
                if not said:
                    await self._api.warn(self.pod, "FailedMount" if error.mounting else "Failed", message)
                message = "" if error.mounting else message
            if said != self.waits_for:
                said = self.waits_for
                await self._api.report(self.pod, waiting(self.pod, said, message, self._restarts))
            left = until - time.monotonic()
            await self.next_change(left if 0 < left < _AGAIN_SECONDS else _AGAIN_SECONDS)
        return None

    async def _run(self, made: Plan) -> Status:
        """Run the process to its end, by itself or by us; the container's last state."""
        self._started_at, self._agent = now(), agent_of(made.command)
        try:
            process = await self._start(made)
        except OSError as error:
            return terminated(self._started_at, _CANNOT_START, str(error))
        report = asyncio.create_task(self._report_running())
        exits = asyncio.create_task(process.wait())
        while not exits.done() and self._leaving is None:
            change = asyncio.create_task(self.next_change(self._seconds_left))
            await asyncio.wait({exits, change}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
        if not exits.done():
            await self._end(process, made)
        await exits
        await asyncio.to_thread(self.kill_leftovers)
        assert self._output
        await self._output
        await report  # it must not arrive behind what is told next
        return terminated(self._started_at, _exit_code(process))

    async def _start(self, made: Plan) -> asyncio.subprocess.Process:
        # A pipe of our own: with one of asyncio's the end of the process would wait for whoever else holds it.
        reading, writing = os.pipe()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *made.command,
                cwd=made.folder,
                env={**made.environment, MARK: self.pod["metadata"]["uid"]},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                start_new_session=True,
            )
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._output = asyncio.create_task(keep(reading, self.log, self._stamps))
        return process

    async def _report_running(self) -> None:
        with contextlib.suppress(Gone):
            await self._api.report(self.pod, running(self.pod, self._started_at, self._restarts))

    async def _end(self, process: asyncio.subprocess.Process, made: Plan) -> None:
        """SIGTERM, then SIGKILL after the grace; what it held goes into the audit."""
        cause = self._ended_for = self._leaving or ""
        witness = Witness(made.environment, made.command)
        lease = await witness.lease()
        if cause != "Forced":
            _signal(process, signal.SIGTERM)
        asked = time.monotonic()
        while process.returncode is None and not self._vanished and time.monotonic() - asked < self._grace:
            left = self._grace - (time.monotonic() - asked)
            waits = [asyncio.create_task(process.wait()), asyncio.create_task(self.next_change(left))]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for one in waits:
                one.cancel()
        killed = process.returncode is None
        _signal(process, signal.SIGKILL)
        await process.wait()
        self._judging = asyncio.create_task(self._judge(witness, lease, cause, _exit_code(process), killed=killed))

    async def _judge(self, witness: Witness, lease: Lease | How, cause: str, exit_code: int, *, killed: bool) -> None:
        """Write down what the end of this process cost."""
        meta = self.pod["metadata"]
        held: dict[str, str] = {}
        if isinstance(lease, Lease):
            how = await witness.outcome(lease, killed=killed)
            held = {"build_id": lease.build_id, "job_id": lease.job_id}
        else:
            how = lease
        self._audit.write(Ended(meta["namespace"], meta["name"], witness.agent, cause, exit_code, how, **held))

    @property
    def _grace(self) -> float:
        given = self.pod["metadata"].get("deletionGracePeriodSeconds")
        return float(self.pod["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given)

    def _again(self, state: Status) -> bool:
        policy = self.pod["spec"].get("restartPolicy", "Always")
        return bool(policy == "Always" or (policy == "OnFailure" and state["terminated"]["exitCode"] != 0))

    async def _back_off(self, state: Status) -> None:
        self._restarts += 1
        self.waits_for = "CrashLoopBackOff"
        told = waiting(self.pod, self.waits_for, "restarting", self._restarts, last=state)
        await self._api.report(self.pod, told)
        again = time.monotonic() + _AGAIN_SECONDS
        while self._leaving is None and time.monotonic() < again:
            await self.next_change(again - time.monotonic())

    async def _tell_end(self, state: Status) -> None:
        if self._vanished:
            return
        late = self._ended_for == "DeadlineExceeded"
        reason = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline") if late else ()
        await self._api.report(self.pod, ended(self.pod, state, self._restarts, *reason))
        if "deletionTimestamp" in self.pod["metadata"]:
            await self._api.remove(self.pod)

    async def _remove_unstarted(self) -> None:
        if not self._vanished:
            await self._tell_end(_NEVER_STARTED)

    # ---------------------------------------------------------------- what stays

    def kill_leftovers(self) -> None:
        """Kill what its process left running: the end of a container ends all in it."""
        kill_marked(f"{MARK}={self.pod['metadata']['uid']}".encode(), self.folder)
        if self._agent:
            kill_marked(f"BUILDYARD_AGENT={self._agent}".encode(), self.folder)

    def forget(self) -> None:
        """Remove its files: the pod is gone, and its log with it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End its process now, at the end of the cluster."""
        if self._process is not None and self.runs:
            _signal(self._process, signal.SIGKILL)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the process alone, as to a container's first process."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None:
            os.kill(process.pid, number)


def _exit_code(process: asyncio.subprocess.Process) -> int:
    code = process.returncode or 0
    return 128 - code if code < 0 else code
