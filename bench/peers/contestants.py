"""Who is measured, and by which commands their workers start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Contestant:
    """One job queue in one of its ways of running.

    `command` gives its worker's arguments for a number of processes; `python` is the interpreter that has it.
    `queue` is the type of its queue; where it is not what the worker declares by itself it is `laid` before.
    """

    name: str
    app: str
    python: Path
    command: Callable[[int], tuple[str, ...]]
    queue: str = "classic"
    laid: bool = False
    prefetches: tuple[int, ...] = (1, 50)


OURS, OURS_CLASSIC = "Buildyard's port", "Buildyard's port on classic"
BARE, BARE_CLASSIC = "aio-pika alone", "aio-pika alone on classic"


def contestants(python: Path) -> tuple[Contestant, ...]:
    """All of them, ours first; `python` has the others installed.

    Ours and the client library alone run twice: on the quorum queue that is our default, and on the classic queue that
    most others declare.
    """
    own = Path(sys.executable)
    return (
        Contestant(OURS, "buildyard", own, _module("buildyard"), "quorum"),
        Contestant(BARE, "bare", own, _module("bare"), "quorum"),
        Contestant("taskiq", "taskiq", python, _taskiq, "quorum"),
        Contestant(OURS_CLASSIC, "buildyard", own, _module("buildyard"), laid=True),
        Contestant(BARE_CLASSIC, "bare", own, _module("bare"), laid=True),
        Contestant("celery prefork", "celery", python, lambda count: _celery("prefork", count)),
        # At prefetch 1 solo waits for a timer between a job and its acknowledgement: no speed to compare.
        Contestant("celery solo", "celery", python, lambda count: _celery("solo", count), prefetches=(50,)),
        Contestant("dramatiq", "dramatiq", python, _dramatiq),
        Contestant("faststream", "faststream", python, _faststream),
    )


def with_results(python: Path, redis: str, postgres: str) -> tuple[tuple[Contestant, str, str], ...]:
    """Those that can store results: each with the name and URL of what keeps them."""
    return (
        # Its SQL results take minutes: each is a connection of its own.
        (Contestant("celery prefork", "celery", python, lambda count: _celery("prefork", count)), "Redis", redis),
        (Contestant("dramatiq", "dramatiq", python, _dramatiq), "Redis", redis),
        (Contestant("taskiq", "taskiq", python, _taskiq), "Redis", redis),
        (Contestant("faststream", "faststream", python, _faststream), "PostgreSQL", postgres),
    )


def _module(app: str) -> Callable[[int], tuple[str, ...]]:
    return lambda _: ("-m", f"bench.peers.{app}_app")


def _celery(pool: str, count: int) -> tuple[str, ...]:
    command = ("-m", "celery", "-A", "bench.peers.celery_app", "worker", "--loglevel", "warning")
    return (*command, "--pool", pool, "--concurrency", str(count))


def _dramatiq(count: int) -> tuple[str, ...]:
    return ("-m", "dramatiq", "bench.peers.dramatiq_app", "--processes", str(count))


def _taskiq(count: int) -> tuple[str, ...]:
    command = ("-m", "taskiq", "worker", "bench.peers.taskiq_app:broker", "--log-level", "WARNING")
    return (*command, "--workers", str(count))


def _faststream(count: int) -> tuple[str, ...]:
    command = ("-m", "faststream", "run", "bench.peers.faststream_app:app", "--log-level", "warning")
    return (*command, "--workers", str(count)) if count > 1 else command
