from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from worker.capabilities import Tools, find_tools, health, machine, usable_cores


def _tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho x >>{folder}/asked\n{script}\n")
    (folder / name).chmod(0o755)


def _asked(folder: Path) -> int:
    return len((folder / "asked").read_text().split())


async def test_tools_are_found_with_their_versions_and_remembered_until_they_change(tmp_path: Path) -> None:
    tools, data = tmp_path / "tools", tmp_path / "data"
    _tool(tools, "make", "echo 'GNU Make 4.3'")
    _tool(tools, "mvn", "printf '\\033[1mApache Maven 3.8.7\\033[m\\n'")
    _tool(tools, "java", "echo 'openjdk version \"17.0.15\"' >&2")
    _tool(tools, "rustc", "echo 'rustc 1.95.0 (59807616e 2026-04-14)'")
    parent = {"PATH": str(tools)}

    found = await find_tools(parent, data, "a")
    assert found.versions["rustc"] == "1.95.0"
    assert (found.versions["make"], found.versions["mvn"], found.versions["java"]) == ("4.3", "3.8.7", "17.0.15")
    assert found.paths["make"] == str(tools / "make")
    assert found.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    asked = _asked(tools)

    assert await find_tools(parent, data, "b") == found
    assert _asked(tools) == asked
    _tool(tools, "make", "echo 'GNU Make 4.4.1'")
    assert (await find_tools(parent, data, "c")).versions["make"] == "4.4.1"
    assert list((data / "cache" / "probe").iterdir()) == []


async def test_a_tool_that_does_not_run_is_not_there(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    _tool(tools, "node", "exit 1")
    _tool(tools, "go", "kill -9 $$")
    (tools / "npm").write_text("#!/no/such/interpreter\n")
    (tools / "npm").chmod(0o755)

    found = await find_tools({"PATH": str(tools)}, tmp_path / "data", "a")

    assert found.paths.keys() & {"node", "go", "npm"} == set()


async def test_a_tool_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.capabilities._PROBE_SECONDS", 0.2)
    tools = tmp_path / "tools"
    _tool(tools, "cargo", "exec /bin/sleep 600")

    found = await find_tools({"PATH": str(tools)}, tmp_path / "data", "a")

    assert "cargo" not in found.paths


async def test_a_spoilt_memory_is_asked_no_more(tmp_path: Path) -> None:
    tools, memory = tmp_path / "tools", tmp_path / "data" / "cache" / "tools.json"
    _tool(tools, "make", "echo 4.3")
    memory.parent.mkdir(parents=True)
    memory.write_text("[not json")

    assert (await find_tools({"PATH": str(tools)}, tmp_path / "data", "a")).versions["make"] == "4.3"


def test_the_machine_is_described(tmp_path: Path) -> None:
    found = machine(Tools({}, {"make": "4.3"}), tmp_path)
    sample = health(tmp_path)

    assert found.tools == {"make": "4.3"}
    assert found.os in {"linux", "macos", "windows"}
    assert 0 < found.cores <= (os.cpu_count() or 1)
    assert found.cores == usable_cores()
    assert found.disk_bytes > 0
    assert sample.disk_free_bytes is not None
    assert sample.disk_free_bytes > 0
