"""The farm's processes as the system shows them, whoever started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    """A process that belongs to the run; `agent` is a worker's name, empty for others."""

    pid: int
    command: str
    agent: str


def running(data_dir: Path, api_url: str = "") -> tuple[Running, ...]:
    """Every process whose environment names the farm's data folder: its parts, its workers and what they started.

    With the farm's address also workers whose folders lie elsewhere.
    """
    marks = [f"BUILDYARD_DATA_DIR={data_dir}".encode(), f"HOME={data_dir}/".encode()]
    marks += [f"BUILDYARD_API_URL={api_url}".encode()] * bool(api_url)
    return tuple(_marked(tuple(marks)))


def workers(data_dir: Path, api_url: str = "") -> tuple[Running, ...]:
    """The workers, by name."""
    return tuple(sorted((one for one in running(data_dir, api_url) if one.agent), key=lambda one: one.agent))


def tell(pid: int, number: signal.Signals) -> None:
    """Send a signal, if the process still runs."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _marked(marks: tuple[bytes, ...]) -> Iterator[Running]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes().split(b"\0")
            words = (place / "cmdline").read_bytes().split(b"\0")[:-1]
        except OSError:
            continue
        if words and any(entry.startswith(mark) for entry in environment for mark in marks):
            told = [word.decode(errors="replace") for word in words]
            is_worker = told[2:4] == ["-m", "worker"] and "--name" in told
            yield Running(int(place.name), " ".join(told)[:200], told[told.index("--name") + 1] if is_worker else "")
