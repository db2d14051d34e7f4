"""`buildyard doctor`: what this machine and the farm lack, each with what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from buildyard import __version__
from buildyard.cli.exits import FAILED, OK
from buildyard.cli.output import duration, size, word
from buildyard.cli.session import Session
from buildyard.client import ProducerClient
from buildyard.clock import Clock, SystemClock
from buildyard.contracts.api import CheckView, HealthAnswer
from buildyard.errors import BuildyardError, PermanentError, TemporaryError

_LEAST_PYTHON = (3, 11)
_LEAST_DISK_BYTES = 1 << 30
_GOOD_DISK_BYTES = 5 << 30
_CLOCK_SECONDS = 5.0


@dataclass(frozen=True)
class Finding:
    """One check; a `warning` limits what works, `failed` makes the exit code 1."""

    name: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""


async def doctor(session: Session, *, as_json: bool) -> int:
    """Check everything; 0 when nothing failed, else 1. Raises InvalidSettings when a setting is wrong."""
    settings = session.settings
    findings = [python_version(sys.version_info[:3]), data_dir(settings.data_dir), disk(settings.data_dir)]
    findings += [tool(name, shutil.which(name), why) for name, why in _TOOLS.items()]
    findings.append(_venv())
    async with session.producer() as producer, session.scaler() as scaler:
        findings += await part("producer", settings.api, producer.health)
        findings += await part("scaler", settings.scaler, scaler.health)
        findings += await rights_and_clock(producer, SystemClock(), token_given=bool(settings.token))
    good = all(finding.status != "failed" for finding in findings)
    if as_json:
        session.output.json({"ok": good, "checks": [vars(finding) for finding in findings]})
    else:
        rows = [(word(entry.status), entry.name, _advice(entry)) for entry in findings]
        session.output.table(("RESULT", "CHECK", "DETAIL"), rows)
    return OK if good else FAILED


def _advice(finding: Finding) -> str:
    return f"{finding.detail} {finding.remedy}".strip()


def python_version(version: tuple[int, ...]) -> Finding:
    """Whether this Python is new enough."""
    text = ".".join(str(part) for part in version)
    if version >= _LEAST_PYTHON:
        return Finding("python", "ok", text)
    return Finding("python", "failed", f"{text} is too old.", "Install Python 3.11 or newer.")


def data_dir(folder: Path) -> Finding:
    """Whether the data folder can be written, or made."""
    nearest = _existing(folder)
    if nearest == folder and os.name == "posix" and folder.stat().st_mode & stat.S_IWOTH:
        remedy = f"Take the right away: chmod o-w {folder}"
        return Finding("data folder", "warning", f"Every user of this machine may change {folder}.", remedy)
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding("data folder", "ok", f"{folder}" if nearest == folder else f"{folder} will be made.")
    remedy = "Set BUILDYARD_DATA_DIR to a folder you may write, or change its permissions."
    return Finding("data folder", "failed", f"{folder} cannot be written.", remedy)


def disk(folder: Path) -> Finding:
    """Whether the data folder's disk has room."""
    free = shutil.disk_usage(_existing(folder)).free
    if free >= _GOOD_DISK_BYTES:
        return Finding("disk", "ok", f"{size(free)} free.")
    status: Literal["warning", "failed"] = "warning" if free >= _LEAST_DISK_BYTES else "failed"
    return Finding("disk", status, f"Only {size(free)} free.", "Free some space, or set BUILDYARD_DATA_DIR elsewhere.")


def _existing(folder: Path) -> Path:
    return next((place for place in (folder, *folder.parents) if place.exists()), Path())


_TOOLS = {
    "git": "to build repositories",
    "make": "to build C projects",
    "cc": "to build C projects",
    "dotnet": "to build .NET solutions",
}


def tool(name: str, found: str | None, why: str) -> Finding:
    """Whether a tool for some kinds of builds is on this machine."""
    if found:
        return Finding(name, "ok", found)
    return Finding(name, "warning", f"It is not on PATH; needed {why}.", f"Install {name}, if you want that.")


def _venv() -> Finding:
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return Finding("venv", "ok", "Python can make environments.")
    remedy = "Install it, on Debian and Ubuntu: apt install python3-venv."
    return Finding("venv", "warning", "Python cannot make environments; needed to build Python projects.", remedy)


async def part(name: str, url: str, ask: Callable[[], Awaitable[HealthAnswer]]) -> list[Finding]:
    """How a process of the farm is, check by check."""
    try:
        health = await ask()
    except BuildyardError as error:
        return [Finding(name, "failed", str(error), error.remedy)]
    state: Literal["ok", "failed"] = "ok" if health.status == "ok" else "failed"
    remedy = "" if state == "ok" else f"See the {name}'s log."
    whole = Finding(name, state, f"{url} is {health.status}, version {health.version}.", remedy)
    return [whole, *same_version(name, health.version), *(_check(name, check) for check in health.checks)]


def same_version(name: str, version: str) -> list[Finding]:
    """What to say of a part of another version than this program."""
    if version == __version__:
        return []
    detail = f"The {name} is version {version}, this program is {__version__}."
    remedy = f"Use version {version} of buildyard here, or bring the farm to {__version__}."
    return [Finding(f"{name}: version", "warning", detail, remedy)]


async def rights_and_clock(producer: ProducerClient, clock: Clock, *, token_given: bool) -> list[Finding]:
    """Whether the farm takes this caller's requests, and whether both clocks tell the same time."""
    asked = clock.now()
    try:
        told = (await producer.pools()).at
    except TemporaryError:
        return []  # the producer's own line says why
    except PermanentError as error:
        remedy = error.remedy or "Set BUILDYARD_TOKEN, or give --token."
        return [Finding("rights", "failed", str(error), remedy)]
    given = "The token is taken." if token_given else "The farm asks for no token."
    return [Finding("rights", "ok", given), same_time(asked + (clock.now() - asked) / 2, told)]


def same_time(ours: datetime, theirs: datetime) -> Finding:
    """Whether two clocks agree well enough that `--since` and times in tables mean what they say."""
    ahead = (ours - theirs).total_seconds()
    if abs(ahead) <= _CLOCK_SECONDS:
        return Finding("clock", "ok", f"{abs(ahead):.1f} s beside the farm's.")
    where = "ahead of" if ahead > 0 else "behind"
    remedy = "Let both set themselves by the network, as with: timedatectl set-ntp true"
    return Finding("clock", "warning", f"This machine is {duration(abs(ahead))} {where} the farm.", remedy)


def _check(name: str, check: CheckView) -> Finding:
    return Finding(f"{name}: {check.name}", "ok" if check.ok else "failed", check.detail)
