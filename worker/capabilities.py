"""What this machine has: tools with their versions, cores, memory, disk; found once, remembered by the tools' files."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from buildyard.contracts.agents import AgentHealth, Capabilities
from buildyard.errors import BuildyardError
from worker.log_text import without_colours
from worker.process import EndedBy, Launch, RawLines, run
from worker.sandbox import Workspace, agents_folder, build_environment
from worker.toolchains.contract import TOOL_NAMES

_PROBE_SECONDS = 60.0
_PROBES_AT_ONCE = 4
_VERSION = re.compile(r"\d+(?:\.\d+)+|\d+")


@dataclass(frozen=True)
class _Tool:
    programs: tuple[str, ...]
    arguments: tuple[str, ...] = ("--version",)


_TOOLS: dict[str, _Tool] = {
    "python": _Tool(("python3", "python")),
    "make": _Tool(("make", "gmake")),
    "cmake": _Tool(("cmake",)),
    "cc": _Tool(("cc", "gcc", "clang")),
    "cxx": _Tool(("c++", "g++", "clang++")),
    "dotnet": _Tool(("dotnet",)),
    "git": _Tool(("git",)),
    "node": _Tool(("node",)),
    "npm": _Tool(("npm",)),
    "pnpm": _Tool(("pnpm",)),
    "yarn": _Tool(("yarn",)),
    "go": _Tool(("go",), ("version",)),
    "cargo": _Tool(("cargo",)),
    "rustc": _Tool(("rustc",)),
    "java": _Tool(("java",), ("-version",)),
    "mvn": _Tool(("mvn",)),
    "gradle": _Tool(("gradle",)),
    "uv": _Tool(("uv",)),
    "poetry": _Tool(("poetry",)),
}


@dataclass(frozen=True)
class Tools:
    """Tool name -> absolute path, and tool name -> version, of the tools that ran when asked."""

    paths: Mapping[str, str]
    versions: Mapping[str, str]


async def find_tools(parent: Mapping[str, str], data_dir: Path, agent: str) -> Tools:
    """Look for every known tool on PATH and ask each for its version, in the environment that builds get.

    `parent` is the worker's own environment. Versions are remembered below `data_dir`, by the tools' files.
    """
    cache = data_dir / "cache"
    probe = Workspace(cache / "probe" / agent)
    await asyncio.to_thread(probe.make)
    try:
        return await _look(build_environment(parent, probe, cache), cache / "tools.json", probe.tmp, agent)
    finally:
        with suppress(OSError):  # an empty folder is no reason to stay away
            await asyncio.to_thread(probe.remove)


async def _look(environment: Mapping[str, str], memory: Path, folder: Path, agent: str) -> Tools:
    paths = {name: path for name in TOOL_NAMES if (path := _locate(name, environment.get("PATH", "")))}
    known = await asyncio.to_thread(_remembered, memory)
    identities = {name: _identity(path) for name, path in paths.items()}
    gate = asyncio.Semaphore(_PROBES_AT_ONCE)

    async def version(name: str) -> str | None:
        if (remembered := known.get(identities[name])) is not None:
            return remembered
        async with gate:
            argv = (paths[name], *_TOOLS[name].arguments)
            return await _ask(Launch(argv, folder, environment, agent, f"probe/{name}", _PROBE_SECONDS))

    answers = await asyncio.gather(*(version(name) for name in paths))
    versions = {name: answer for name, answer in zip(paths, answers, strict=True) if answer is not None}
    found = {identities[name]: answer for name, answer in versions.items()}
    if not found.items() <= known.items():
        await asyncio.to_thread(_remember, memory, {**known, **found})
    return Tools({name: paths[name] for name in versions}, versions)


def _locate(name: str, path: str) -> str | None:
    if name == "python":
        # The interpreter that the worker's own environment was made from can make environments for others too.
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        ours = Path(sys.base_prefix) / "bin" / version
        if ours.is_file():
            return str(ours)
    return next((found for program in _TOOLS[name].programs if (found := shutil.which(program, path=path))), None)


async def _ask(launch: Launch) -> str | None:
    """The version a tool tells, None when it does not run."""

    async def ignore(_: RawLines) -> None:
        return

    try:
        end = await run(launch, ignore)
    except (BuildyardError, OSError):
        return None
    if end.ended_by is not EndedBy.EXITED or end.exit_code != 0:
        return None
    return next((found[0] for line in end.tail if (found := _VERSION.search(without_colours(line)))), "")


def _identity(path: str) -> str:
    with suppress(OSError):
        real = Path(path).resolve()
        state = real.stat()
        return f"{path}|{real}|{state.st_size}|{state.st_mtime_ns}"
    return path


def _remembered(memory: Path) -> dict[str, str]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(memory: Path, versions: dict[str, str]) -> None:
    with suppress(OSError):  # what cannot be remembered is asked again
        memory.parent.mkdir(parents=True, exist_ok=True)
        fresh = memory.with_name(f"{memory.name}.{os.getpid()}")
        fresh.write_text(json.dumps(versions), encoding="utf-8")
        fresh.replace(memory)


def machine(tools: Tools, data_dir: Path) -> Capabilities:
    """This machine's capabilities; memory and cores as far as its container may use them."""
    return Capabilities(
        os={"darwin": "macos"}.get(platform.system().lower(), platform.system().lower()),
        arch={"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower()),
        cores=usable_cores(),
        memory_bytes=_memory_bytes() or 0,
        disk_bytes=shutil.disk_usage(data_dir).total,
        tools=dict(tools.versions),
    )


def usable_cores() -> float:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    quota, _, period = _first_line("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, int(quota) / int(period))
    return cores


def health(data_dir: Path) -> AgentHealth:
    """A sample of the machine, its disk being the one that builds fill; None where the platform does not tell."""
    return AgentHealth(
        load_1m=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        memory_free_bytes=_meminfo("MemAvailable"),
        disk_free_bytes=free_disk_bytes(data_dir),
        agent_memory_bytes=_own_memory(),
    )


def free_disk_bytes(data_dir: Path) -> int | None:
    """Room on the disk that builds fill; None where the platform does not tell."""
    for folder in (agents_folder(data_dir), data_dir):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def _memory_bytes() -> int | None:
    total = _meminfo("MemTotal") or _memory_by_pages()
    limit = _first_line("/sys/fs/cgroup/memory.max")
    return min(total, int(limit)) if total and limit.isdigit() else total


def _memory_by_pages() -> int | None:
    """Where there is no /proc."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _meminfo(field: str) -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _own_memory() -> int | None:
    pages = _first_line("/proc/self/statm").split(" ")
    sysconf = getattr(os, "sysconf", None)
    return int(pages[1]) * int(sysconf("SC_PAGE_SIZE")) if sysconf and len(pages) > 1 else None


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return ""
