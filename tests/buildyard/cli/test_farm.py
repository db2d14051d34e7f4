"""The embedded farm against parts that only pretend: order, restarts, refusals, nothing left running."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from buildyard.cli.farm_lock import FarmLock
from buildyard.cli.local import Farm, held_port
from buildyard.errors import Conflict, InvalidSettings, ProducerUnavailable, ScalerUnavailable

STALL = 25
"""Seconds that a loaded machine gets beyond what is promised."""


@asynccontextmanager
async def _farm(
    tmp_path: Path, parts: dict[str, str], said: list[str] | None = None, ready_seconds: float = 20
) -> AsyncIterator[Farm]:
    heard: list[str] = [] if said is None else said
    async with Farm(tmp_path / "data", env=parts, say=heard.append, ready_seconds=ready_seconds) as farm:
        yield farm


def _notes(tmp_path: Path) -> list[str]:
    return (tmp_path / "data" / "notes").read_text().splitlines()


def _alive(pid: int | None) -> bool:
    assert pid is not None
    return Path(f"/proc/{pid}").exists()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_farm_starts_the_producer_first_and_stops_it_last(tmp_path: Path, parts: dict[str, str]) -> None:
    async with _farm(tmp_path, parts) as farm:
        pids = [farm.producer.pid, farm.scaler.pid]
        assert all(map(_alive, pids))
        assert farm.api_url != farm.scaler_url
    assert _notes(tmp_path) == [
        "producer started ",
        "scaler started --stop-workers",
        "scaler stopped",
        "producer stopped",
    ]
    assert not any(map(_alive, pids))
    assert "log of producer" in (tmp_path / "data" / "logs" / "producer.log").read_text()


async def test_a_dead_part_runs_again_within_five_seconds_at_the_same_address(
    tmp_path: Path, parts: dict[str, str]
) -> None:
    said: list[str] = []
    async with _farm(tmp_path, parts, said) as farm:
        first, url = farm.producer.pid, farm.api_url
        assert first is not None
        since = asyncio.get_running_loop().time()
        os.kill(first, signal.SIGKILL)
        await _until(lambda: farm.producer.restarts == 1)
        assert asyncio.get_running_loop().time() - since < 5 + STALL
        assert farm.producer.pid != first
        assert farm.producer.running
        assert farm.api_url == url
    assert re.search(r"producer ended with exit code -9; it is started again in 0\.25 s", said[0])
    assert said[1] == "The producer runs again."


async def test_a_part_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path, parts: dict[str, str]) -> None:
    with pytest.raises(ScalerUnavailable, match=r"scaler ended with exit code 7.*no such database") as caught:
        async with _farm(tmp_path, parts | {"PRETEND_SCALER": "broken"}):
            raise AssertionError
    assert "scaler.log" in caught.value.remedy
    assert _notes(tmp_path) == ["producer started ", "producer stopped"]


async def test_a_part_that_stays_silent_is_given_up(tmp_path: Path, parts: dict[str, str]) -> None:
    with pytest.raises(ProducerUnavailable, match=r"did not get ready within 0\.5 s: log of producer"):
        async with _farm(tmp_path, parts | {"PRETEND_PRODUCER": "silent"}, ready_seconds=0.5):
            raise AssertionError


async def test_a_stubborn_part_is_forced_when_somebody_insists(tmp_path: Path, parts: dict[str, str]) -> None:
    farm = Farm(tmp_path / "data", env=parts | {"PRETEND_SCALER": "stubborn"})
    await farm.start()
    pid = farm.scaler.pid
    stopping = asyncio.create_task(farm.stop())
    await asyncio.sleep(0)
    farm.kill()
    await asyncio.wait_for(stopping, 60)
    assert not _alive(pid)


async def test_what_workers_left_running_ends_with_the_farm(tmp_path: Path, parts: dict[str, str]) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only /proc tells a process's environment")
    async with _farm(tmp_path, parts | {"PRETEND_SCALER": "worker"}) as farm:
        lock = farm.data_dir / "farm.json"
        farm_id = lock.read_text().split('"farm_id": "')[1].split('"')[0]
        assert len(_carrying(farm_id)) == 3
    assert _carrying(farm_id) == []


def _carrying(farm_id: str) -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"BUILDYARD_FARM={farm_id}".encode() in (place / "environ").read_bytes():
                found.append(place.name)
        except OSError:
            continue
    return found


async def test_what_a_killed_farm_left_running_is_ended_by_the_next(tmp_path: Path, parts: dict[str, str]) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only /proc tells a process's environment")
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from buildyard.cli.local import Farm\n"
        "async def work():\n"
        "    async with Farm(Path(sys.argv[1])) as farm:\n"
        "        print(farm.producer.pid, farm.scaler.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(work())\n"
    )
    root = str(Path(__file__).parents[3])
    env = {**os.environ, **parts, "PYTHONPATH": os.pathsep.join([parts["PYTHONPATH"], root])}
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path / "data"), env=env, stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    orphans = [int(word) for word in (await killed.stdout.readline()).split()]
    killed.kill()
    await killed.communicate()
    assert all(map(_alive, orphans))
    said: list[str] = []
    async with _farm(tmp_path, parts, said):
        await _until(lambda: not any(map(_alive, orphans)))
    assert said[0].startswith("An earlier farm was killed; 2 of its processes")


async def test_a_second_farm_on_the_same_data_is_refused(tmp_path: Path, parts: dict[str, str]) -> None:
    async with _farm(tmp_path, parts) as farm:
        with pytest.raises(Conflict, match=rf"already runs .*process {os.getpid()}, {farm.api_url}"):
            async with _farm(tmp_path, parts):
                raise AssertionError
        assert farm.producer.running
    async with _farm(tmp_path, parts):
        """Once the first is gone, the folder is free again."""


async def test_a_port_in_use_is_said_in_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} of 127.0.0.1 cannot be listened on") as caught:
            await Farm(tmp_path / "data", port=port).start()
    assert "--open-port" in caught.value.remedy
    assert FarmLock(tmp_path / "data").take() is None


async def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSettings, match="cannot be written"):
        await Farm(tmp_path / "file" / "data").start()


async def test_a_large_log_is_put_aside_at_the_start(tmp_path: Path, parts: dict[str, str]) -> None:
    logs = tmp_path / "data" / "logs"
    logs.mkdir(parents=True)
    (logs / "producer.log").write_bytes(b"x" * (6 << 20))
    async with _farm(tmp_path, parts):
        """Only the start counts here."""
    assert (logs / "producer.log.1").stat().st_size == 6 << 20
    assert (logs / "producer.log").stat().st_size < 1000


# ------------------------------------------------------------------------------------------------ picked ports

_QUICKER = """
import os, sys
tries = os.path.join(os.environ["BUILDYARD_DATA_DIR"], "tries")
with open(tries, "a+") as file:
    file.write(os.environ["BUILDYARD_SCALER_PORT"] + "\\n")
    file.seek(0)
    taken = len(file.readlines()) <= {times}
if taken:
    sys.exit("The scaler cannot listen on 127.0.0.1:20000: Address already in use.")
"""


def _somebody_is_quicker(parts: dict[str, str], times: int) -> None:
    scaler = Path(parts["PYTHONPATH"]) / "scaler.py"
    scaler.write_text(_QUICKER.format(times=times) + scaler.read_text())


async def test_where_somebody_was_quicker_at_a_picked_port_others_are_picked(
    tmp_path: Path, parts: dict[str, str]
) -> None:
    _somebody_is_quicker(parts, 2)
    async with _farm(tmp_path, parts) as farm:
        tried = (tmp_path / "data" / "tries").read_text().split()
        assert len(set(tried)) == 3
        assert farm.scaler_url.endswith(f":{tried[-1]}")
        assert (farm.producer.running, farm.scaler.running) == (True, True)
    notes = _notes(tmp_path)
    assert notes.count("producer started ") == notes.count("producer stopped") == 3


async def test_a_farm_that_never_gets_its_ports_says_so_in_the_end(tmp_path: Path, parts: dict[str, str]) -> None:
    _somebody_is_quicker(parts, 99)
    with pytest.raises(ScalerUnavailable, match="cannot listen on"):
        async with _farm(tmp_path, parts):
            pass
    assert len((tmp_path / "data" / "tries").read_text().split()) == 4


async def test_a_port_that_was_asked_for_is_not_exchanged_for_another(tmp_path: Path, parts: dict[str, str]) -> None:
    _somebody_is_quicker(parts, 99)
    ports = [held_port("127.0.0.1") for _ in range(2)]
    for _, holder in ports:
        assert holder is not None
        holder.close()
    farm = Farm(tmp_path / "data", port=ports[0][0], scaler_port=ports[1][0], env=parts, ready_seconds=20)
    with pytest.raises(ScalerUnavailable, match="cannot listen on"):
        await farm.start()
    assert (tmp_path / "data" / "tries").read_text().split() == [str(ports[1][0])]


def _listening(port: int) -> socket.socket:
    """As producer and scaler listen."""
    server = socket.socket()
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
    except OSError:
        server.close()
        raise
    return server


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no port can be held for another process")
def test_a_picked_port_stays_its_farms_before_and_between_the_starts_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    picks = iter([port for port in range(20_500, 20_700) for _ in range(2)])
    monkeypatch.setattr("secrets.choice", lambda _: next(picks))
    first, ours = held_port("127.0.0.1")  # the next farm tries the same one first, which nobody listens on yet
    second, theirs = held_port("127.0.0.1")
    assert ours is not None
    assert theirs is not None
    with ours, theirs:
        assert first != second
        for _ in range(2):  # a part that is killed and starts again
            with _listening(first), pytest.raises(OSError, match="in use"):
                _listening(first)
            with pytest.raises(ConnectionRefusedError):  # the holder itself answers nobody
                socket.create_connection(("127.0.0.1", first)).close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no port can be held for another process")
async def test_a_farm_holds_its_picked_ports_until_it_stops(tmp_path: Path, parts: dict[str, str]) -> None:
    async with _farm(tmp_path, parts) as farm:
        ports = [int(url.rpartition(":")[2]) for url in (farm.api_url, farm.scaler_url)]
        assert [_bindable(port) for port in ports] == [False, False]
    assert [_bindable(port) for port in ports] == [True, True]


def _bindable(port: int) -> bool:
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
