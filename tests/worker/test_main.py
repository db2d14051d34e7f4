"""`python -m worker` as a process of its own, against the embedded broker and a producer of a few lines."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from buildyard.broker import open_broker
from buildyard.contracts.agents import AgentJoined, ClaimAnswer
from buildyard.contracts.builds import JobSpec
from buildyard.contracts.messages import REPORT, AgentLeft, JobFinished, Ticket, read_message
from buildyard.objects import open_objects
from buildyard.ports import REPORTS, jobs
from buildyard.settings import Settings
from tests.worker.fakes import UPLOAD_KEY, job_spec, new_id, upload_of, zipped

ROOT = Path(__file__).resolve().parents[2]


class _Producer(ThreadingHTTPServer):
    """Lets every agent join and hands out `specs`."""

    specs: list[JobSpec]
    refuse: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: _Producer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuse:
            problem = {"title": "Conflict", "status": 409, "detail": "It lacks dotnet.", "code": "agent_unsuited"}
            self._send(409, json.dumps({"type": "about:blank", **problem}).encode())
        elif self.path.endswith("/claim"):
            verdict = "job" if self.server.specs else "none"
            job = self.server.specs.pop(0) if self.server.specs else None
            self._send(200, ClaimAnswer(verdict=verdict, job=job).encode())
        else:
            self._send(201, AgentJoined(name=body["name"], lease_seconds=30, heartbeat_seconds=10).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def producer() -> Iterator[_Producer]:
    with _Producer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.specs = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@asynccontextmanager
async def _worker(tmp_path: Path, producer: _Producer, *arguments: str, **settings: str) -> AsyncIterator[Process]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    env |= {"BUILDYARD_DATA_DIR": str(tmp_path / "data"), "BUILDYARD_API_URL": producer.url, **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", *arguments, stdout=PIPE, stderr=PIPE, env=env, cwd=tmp_path
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _ready(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        return (await process.stdout.readline()).decode()


def _pss(pid: int) -> int:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_an_idle_worker_is_small_and_still_and_leaves_on_sigterm(tmp_path: Path, producer: _Producer) -> None:
    async with _worker(tmp_path, producer, "--name", "linux-3-2") as process:
        assert await _ready(process) == "ready linux-3-2\n"
        before = _cpu_seconds(process.pid)
        await asyncio.wait({asyncio.create_task(process.wait())}, timeout=2)

        assert _cpu_seconds(process.pid) - before <= 0.05
        assert _pss(process.pid) < 60 * 1024 * 1024
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            _, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert "Traceback" not in errors.decode()
    assert list((tmp_path / "data" / "agents").iterdir()) == []


async def test_a_worker_builds_what_it_claims_and_hands_back_what_sigterm_interrupts(
    tmp_path: Path, producer: _Producer
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    broker = open_broker(settings.broker)
    await broker.open()
    await broker.declare(jobs("linux"))
    makefile = f"all:\n\t@echo $$$$ >{tmp_path / 'started'}; sleep 600\n"
    content = zipped({"Makefile": makefile})
    await open_objects(settings.objects).put(UPLOAD_KEY, content)
    producer.specs.append(job_spec(upload_of(content)))
    await broker.publish(jobs("linux"), [Ticket(ticket_id=new_id(), pool="linux").encode()])
    async with _worker(tmp_path, producer, BUILDYARD_GRACE_SECONDS="1") as process:
        name = (await _ready(process)).split()[1]
        async with asyncio.timeout(120):
            while not (tmp_path / "started").exists():
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await process.communicate()

    reports = []
    async for delivery in await broker.subscribe(REPORTS, 10):
        reports.append(read_message(REPORT, delivery.body))
        await delivery.ack()
        if isinstance(reports[-1], AgentLeft):
            break
    await broker.close()
    assert process.returncode == 0
    assert re.fullmatch(r"linux-[a-z0-9-]+-\d+", name)
    (finished,) = (report for report in reports if isinstance(report, JobFinished))
    assert (finished.agent, finished.outcome.value) == (name, "handed_back")
    assert not Path(f"/proc/{(tmp_path / 'started').read_text().strip()}").exists()


async def test_an_unsuited_worker_says_why_and_exits_with_4(tmp_path: Path, producer: _Producer) -> None:
    producer.refuse = True
    async with _worker(tmp_path, producer) as process, asyncio.timeout(120):
        out, errors = await process.communicate()

    assert (process.returncode, out) == (4, b"")
    assert b"It lacks dotnet." in errors


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--pool", "Linux!"), {}, b"lower-case"),
        (("--nonsense",), {}, b"unrecognized"),
        ((), {"BUILDYARD_BROKER_URL": "kafka://x"}, b"no broker"),
        ((), {"BUILDYARD_LOG_LEVEL": "loud"}, b"BUILDYARD_LOG_LEVEL"),
    ],
)
async def test_a_wrong_call_exits_with_2_and_a_sentence(
    tmp_path: Path, producer: _Producer, arguments: tuple[str, ...], settings: dict[str, str], said: bytes
) -> None:
    async with _worker(tmp_path, producer, *arguments, **settings) as process, asyncio.timeout(120):
        _, errors = await process.communicate()

    assert process.returncode == 2
    assert said in errors
    assert b"Traceback" not in errors
