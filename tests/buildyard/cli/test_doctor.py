"""What the doctor finds, one by one: versions, rights, clocks, folders, disks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from buildyard import __version__
from buildyard.cli.doctor import data_dir, disk, same_time, same_version
from buildyard.contracts.wire import rfc3339
from tests.buildyard.cli.fake_server import FakeServer, Reply, problem
from tests.buildyard.cli.run import Shell

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _health(server: FakeServer, version: str = __version__) -> None:
    health = {"status": "ok", "version": version, "checks": []}
    server.on("GET", "/api/v1/health", health)
    server.on("GET", "/healthz", health)


def _pools(server: FakeServer, at: datetime) -> None:
    server.on("GET", "/api/v1/pools", {"pools": [], "at": rfc3339(at)})


def _found(shell: Shell, *words: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in shell(*words, "doctor", "--json").json()["checks"]}


def test_a_farm_of_another_version_is_told_with_what_to_do(shell: Shell, server: FakeServer) -> None:
    _health(server, "9.9")
    _pools(server, datetime.now(UTC))
    found = _found(shell)
    assert found["producer: version"]["status"] == "warning"
    assert "Use version 9.9" in found["scaler: version"]["remedy"]
    assert same_version("producer", __version__) == []


@pytest.mark.parametrize(
    ("words", "detail"), [((), "The farm asks for no token."), (("--token", "x"), "The token is taken.")]
)
def test_rights_are_tried(shell: Shell, server: FakeServer, words: Sequence[str], detail: str) -> None:
    _health(server)
    _pools(server, datetime.now(UTC))
    found = _found(shell, *words)
    assert (found["rights"]["status"], found["rights"]["detail"]) == ("ok", detail)


def test_a_refused_caller_learns_what_to_set(shell: Shell, server: FakeServer) -> None:
    _health(server)
    server.on("GET", "/api/v1/pools", problem(401, "unauthorized", "A token is needed."))
    found = _found(shell)
    assert found["rights"]["status"] == "failed"
    assert "BUILDYARD_TOKEN" in found["rights"]["remedy"]


def test_a_farm_that_is_away_is_said_once(shell: Shell, server: FakeServer) -> None:
    server.on("GET", "/api/v1/pools", Reply(502))
    found = _found(shell)
    assert found["producer"]["status"] == "failed"
    assert not {"rights", "clock"} & set(found)


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.2, "ok", "0.2 s"),
        (-4.9, "ok", "4.9 s"),
        (75, "warning", "1m15s ahead of"),
        (-7300, "warning", "2h01m behind"),
    ],
)
def test_clocks_are_compared(ahead: float, status: str, words: str) -> None:
    found = same_time(NOON + timedelta(seconds=ahead), NOON)
    assert found.status == status
    assert words in found.detail
    assert bool(found.remedy) is (status != "ok")


def test_a_data_folder_that_others_may_change_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert data_dir(tmp_path).status == "warning"
    tmp_path.chmod(0o700)
    assert data_dir(tmp_path).status == "ok"
    assert data_dir(tmp_path / "new").detail.endswith("will be made.")


@pytest.mark.parametrize(("free", "status"), [(6 << 30, "ok"), (2 << 30, "warning"), (1 << 20, "failed")])
def test_a_disk_that_fills_up_is_told_in_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, status: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert disk(tmp_path).status == status
