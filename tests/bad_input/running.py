"""A real producer in a folder of its own, watched from outside: its memory, its log, its files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bad_input.raw_http import TOKEN, Answer, exchange, get

UPLOAD_MAX_BYTES = 2_000_000
_SETTINGS = {
    "BUILDYARD_PORT": "0",
    "BUILDYARD_TOKEN": TOKEN,
    "BUILDYARD_UPLOAD_MAX_BYTES": str(UPLOAD_MAX_BYTES),
    "BUILDYARD_REQUESTS_PER_MINUTE": "0",
    "BUILDYARD_LOG_LEVEL": "info",
}


@dataclass(frozen=True)
class RunningProducer:
    """The process `pid` on `port`; it may write below `parent/data` and nowhere else."""

    pid: int
    port: int
    parent: Path
    log_file: Path
    env: Mapping[str, str]

    def ask(self, sent: bytes, *, leave: bool = False) -> Answer:
        """Send bytes as they are, read one answer."""
        return exchange(self.port, sent, leave=leave)

    def log(self) -> str:
        """All it logged so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def memory_mb(self, name: str = "VmRSS") -> float:
        """Its memory now, or its peak (`VmHWM`) since `forget_peak`."""
        found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8"))
        assert found is not None
        return int(found[1]) / 1024

    def forget_peak(self) -> None:
        """Let the peak count from here."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def outside(self) -> dict[str, bytes]:
        """Every file below the parent that is not in the data folder, with its content."""
        return {
            path.relative_to(self.parent).as_posix(): path.read_bytes() if path.is_file() else b"(folder)"
            for path in self.parent.rglob("*")
            if path.relative_to(self.parent).parts[0] != "data"
        }


@contextmanager
def running_producer(base: Path) -> Iterator[RunningProducer]:
    """Run `python -m orchestrator` for the length of the block; its current folder, HOME and TMPDIR are watched."""
    parent, log_file = base / "watched", base / "producer.log"
    for name in ("data", "cwd", "home", "tmp"):
        (parent / name).mkdir(parents=True)
    (parent / "secret.txt").write_text("nobody's business\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    places = {"BUILDYARD_DATA_DIR": str(parent / "data"), "HOME": str(parent / "home"), "TMPDIR": str(parent / "tmp")}
    env = {**kept, **_SETTINGS, **places, "PYTHONDONTWRITEBYTECODE": "1"}
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator"], cwd=parent / "cwd", env=env, stdout=subprocess.PIPE, stderr=log
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline().decode()
        assert ready.startswith("ready http://127.0.0.1:"), log_file.read_text(encoding="utf-8")
        yield RunningProducer(process.pid, int(ready.rpartition(":")[2]), parent, log_file, env)
    finally:
        process.terminate()
        process.communicate(timeout=120)


def healthy(producer: RunningProducer) -> bool:
    """Whether the producer says that it is well."""
    answer = producer.ask(get("/api/v1/health"))
    return answer.status == 200 and answer.json["status"] == "ok"


@contextmanager
def running_worker(producer: RunningProducer) -> Iterator[None]:
    """A real worker of this producer for the length of the block; it writes below the data folder too."""
    env = {**producer.env, "BUILDYARD_API_URL": f"http://127.0.0.1:{producer.port}", "TMPDIR": "/tmp"}
    log_file = producer.log_file.with_name("worker.log")
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", "--name", "linux-1-1"],
            cwd=producer.log_file.parent,
            env=env,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=120)
