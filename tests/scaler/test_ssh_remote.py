"""What runs on a host, tried without a connection: its files, and what it forgets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scaler.executors import ssh_remote
from scaler.executors.ssh_remote import Folder, started_by_ps
from tests.scaler.processes import ended

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


def worker(folder: Folder, name: str, ended_at: float, *, settled: bool = True) -> None:
    (folder.path / "workers" / name).mkdir()
    nobody = {"pid": None, "identity": "", "keeper": None, "keeper_identity": "", "exit_code": 0, "detail": ""}
    record = {"name": name, "pool": "linux", "started_at": 0.0, "ended_at": ended_at, "settled": settled, **nobody}
    (folder.path / "workers" / name / "worker.json").write_text(json.dumps(record))


def names(folder: Folder) -> list[str]:
    return [record["name"] for record in folder.look("linux", 60)]


def test_only_the_last_ended_workers_keep_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_remote, "KEPT_FOLDERS", 2)
    folder = Folder(str(tmp_path))
    for number in (1, 2, 3):
        worker(folder, f"linux-1-{number}", ended_at=float(number))
    worker(folder, "linux-2-1", ended_at=0.5, settled=False)

    folder.reap("linux", 60)
    folder.reap("linux", 60)

    assert names(folder) == ["linux-1-2", "linux-1-3"]


def test_workers_of_other_pools_and_other_folders_are_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_remote, "KEPT_FOLDERS", 0)
    folder = Folder(str(tmp_path))
    worker(folder, "linux-arm-1-1", ended_at=1.0)
    (tmp_path / "workers" / "notes").mkdir()

    folder.reap("linux", 60)

    assert sorted(path.name for path in (tmp_path / "workers").iterdir()) == ["linux-arm-1-1", "notes"]


def test_only_the_last_notes_of_places_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_remote, "KEPT_NAMES", 2)
    folder = Folder(str(tmp_path))
    for number in (1, 2, 3):
        folder.place(f"linux-1-{number}", "gone")
        os.utime(tmp_path / "names" / f"linux-1-{number}", (number, number))
    assert len(folder.placed_elsewhere("linux", ["a"])) == 3

    folder.reap("linux", 60)

    assert folder.placed_elsewhere("linux", ["a"]) == {"linux-1-2": "gone", "linux-1-3": "gone"}


def test_a_place_is_noted_once_and_whole(tmp_path: Path) -> None:
    first, second = Folder(str(tmp_path)), Folder(str(tmp_path))

    assert [first.place("linux-1-1", "a"), second.place("linux-1-1", "b")] == ["a", "a"]
    assert first.placed_elsewhere("linux", ["a"]) == {}
    assert [path.name for path in tmp_path.glob("*.new")] == []


def test_a_folder_has_one_identity_for_everybody(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()

    assert (
        Folder(str(tmp_path)).identity() == Folder(str(tmp_path)).identity() != Folder(f"{tmp_path}/other").identity()
    )


def test_a_tilde_is_the_home_of_who_logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert Folder("~/farm").path == tmp_path.resolve() / "farm"


def test_a_log_that_grew_too_long_is_bounded_while_its_worker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_remote, "LOG_BYTES", 10)
    folder = Folder(str(tmp_path))
    worker(folder, "linux-1-1", ended_at=1.0)
    file = tmp_path / "workers/linux-1-1/worker.json"
    pid = os.getpid()
    running: dict[str, Any] = {"ended_at": None, "pid": pid, "identity": ssh_remote.identity_of(pid), "settled": False}
    file.write_text(json.dumps({**json.loads(file.read_text()), **running}))
    log = tmp_path / "workers/linux-1-1/agent.log"
    log.write_bytes(b"many lines\n")

    folder.reap("linux", 60)

    assert log.read_bytes() == b""
    assert folder.read_log("linux-1-1", 500, None, follow=False)["offset"] == 0


def test_a_name_that_is_none_of_a_worker_starts_nothing(tmp_path: Path) -> None:
    answer = Folder(str(tmp_path)).start("../x", SLEEPER, {})

    assert "is not the name of a worker" in answer["error"]


async def test_without_proc_a_process_is_known_by_when_it_began() -> None:
    process = subprocess.Popen(SLEEPER)
    try:
        identity = started_by_ps(process.pid)
        assert identity
        assert identity == started_by_ps(process.pid)
        process.kill()
        await ended(process.pid)
        assert started_by_ps(process.pid) == ""  # nobody has waited for it yet
    finally:
        process.kill()
        process.wait()
    assert started_by_ps(process.pid) == ""
