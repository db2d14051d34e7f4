"""`buildyard local` as a program: it greets, stays, and stops whichever way it is asked to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@contextmanager
def _local(parts: dict[str, str], *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("BUILDYARD_")}
    env |= parts | more
    env["PYTHONPATH"] = os.pathsep.join([parts["PYTHONPATH"], str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-m", "buildyard.cli", "local", *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _greeting(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or "curl" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended before it greeted"
    return "".join(lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_greets_with_a_ready_line_and_stops_in_order(
    tmp_path: Path, parts: dict[str, str], number: signal.Signals
) -> None:
    data = tmp_path / "data"
    with _local(parts, "--open-port", "--data-dir", str(data)) as process:
        greeting = _greeting(process)
        assert "  curl -F file=@src.zip http://127.0.0.1:" in greeting
        process.send_signal(number)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"The data stay in {data}" in err
    assert (data / "notes").read_text().splitlines()[-2:] == ["scaler stopped", "producer stopped"]


def test_a_second_request_ends_a_stubborn_farm_at_once(tmp_path: Path, parts: dict[str, str]) -> None:
    words = ("--open-port", "--data-dir", str(tmp_path / "data"))
    with _local(parts, *words, PRETEND_SCALER="stubborn") as process:
        _greeting(process)
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while "Ctrl-C again" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_request_to_end_also_counts_while_it_starts(tmp_path: Path, parts: dict[str, str]) -> None:
    words = ("--open-port", "--data-dir", str(tmp_path / "data"))
    with _local(parts, *words, PRETEND_PRODUCER="silent") as process:
        assert process.stderr is not None
        assert "Starting a farm" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_folder_in_use_and_a_part_that_fails_have_exit_codes(tmp_path: Path, parts: dict[str, str]) -> None:
    words = ("--open-port", "--data-dir", str(tmp_path / "data"))
    with _local(parts, *words) as first:
        _greeting(first)
        with _local(parts, *words) as second:
            _out, err = second.communicate(timeout=60)
        assert second.returncode == 4
        assert "already runs on the data folder" in err
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    with _local(parts, *words, PRETEND_PRODUCER="broken") as third:
        _out, err = third.communicate(timeout=60)
    assert third.returncode == 3
    assert "no such database" in err
    assert "producer.log" in err


def test_a_port_in_use_is_refused_with_the_way_out(tmp_path: Path, parts: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with _local(parts, "--data-dir", str(tmp_path / "data"), BUILDYARD_PORT=port) as process:
            _out, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert f"Port {port} of 127.0.0.1 cannot be listened on" in err
    assert "--open-port" in err


def test_a_token_goes_into_the_line_to_copy(tmp_path: Path, parts: dict[str, str]) -> None:
    words = ("--open-port", "--data-dir", str(tmp_path / "data"))
    with _local(parts, *words, BUILDYARD_TOKEN="secret") as process:
        greeting = _greeting(process)
        assert 'curl -H "Authorization: Bearer $BUILDYARD_TOKEN" -F file=@src.zip' in greeting
        assert "secret" not in greeting
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
