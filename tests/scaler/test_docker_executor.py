"""What only the executor of containers has to get right: the engine, its images, its refusals, and the sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_docker import DockerVolume
from buildyard.contracts.scaling import PendingCode, PoolConfig
from buildyard.errors import InvalidRequest, PermanentError, TemporaryError
from scaler.executors.docker import DockerExecutor
from scaler.executors.docker_container import container_spec
from scaler.executors.docker_engine import LOOK_SECONDS
from tests import docker_engine
from tests.scaler.docker_harness import DockerHarness

ROOT = Path(__file__).resolve().parents[2]


class LateClock(SystemClock):
    """The system's clock, some seconds ahead once it is told so."""

    ahead = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DockerHarness]:
    made = DockerHarness(tmp_path)
    yield made
    await made.close()


async def only(executor: DockerExecutor) -> WorkerInfo:
    (worker,) = await executor.list()
    return worker


async def text_of(executor: DockerExecutor, name: str = "linux-1-1") -> str:
    return b"".join([piece async for piece in executor.logs(name, follow=True)]).decode()


# ------------------------------------------------------------------------------------------------ the sandbox


async def test_a_worker_runs_without_root_without_capabilities_and_writes_its_workspace_only(
    harness: DockerHarness,
) -> None:
    (harness.fake / "probe.py").write_text(Path(__file__).with_name("sandbox_probe.py").read_text())
    executor = harness.with_pool(harness.pool(command=("python3", "/fake/probe.py"), environment={"MINE": "1"}))

    await executor.start("linux-1-1")
    found = json.loads(await text_of(executor))

    assert found["ids"] == [10001, 10001, 10001]
    assert found["capabilities"] == {"CapEff": 0, "CapPrm": 0, "CapBnd": 0, "CapAmb": 0}
    assert (found["no_new_privileges"], found["seccomp"]) == ("1", "2")
    assert found["writable"] == ["/work", "/tmp", "/dev/shm"]
    assert found["programs_run_in"] == ["/work", "/tmp"]
    assert found["first_process"].endswith(("docker-init", "tini"))
    assert found["environment"] == ["BUILDYARD_DATA_DIR", "HOME", "HOSTNAME", "LC_CTYPE", "MINE", "PATH"]
    assert (found["cwd"], found["sockets"]) == ("/work", False)


async def test_the_engine_bounds_memory_processors_and_processes_and_never_restarts(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(cpus=0.5, pids_limit=64, grace_seconds=40))
    await executor.start("linux-1-1")

    with docker_engine.client(harness.url) as engine:
        seen = engine.inspect_container(f"{harness.farm}-linux-1-1")

    config = seen["HostConfig"]
    assert (config["Memory"], config["MemorySwap"]) == (128 * 2**20, 128 * 2**20)
    assert (config["NanoCpus"], config["PidsLimit"]) == (500_000_000, 64)
    assert config["RestartPolicy"]["Name"] == "no"
    assert not config["AutoRemove"]
    assert not config["Privileged"]
    assert seen["Config"]["StopTimeout"] == 45
    assert seen["Config"]["Labels"] == {
        "buildyard.farm": harness.farm,
        "buildyard.pool": "linux",
        "buildyard.worker": "linux-1-1",
    }


async def test_a_worker_that_takes_more_memory_than_it_may_is_ended_by_the_engine_and_says_why(
    harness: DockerHarness,
) -> None:
    hog = "held = []\nwhile True:\n    held.append(bytearray(2**20))\n"
    (harness.fake / "hog.py").write_text(hog)
    executor = harness.with_pool(harness.pool(command=("python3", "/fake/hog.py"), memory_bytes=64 * 2**20))
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    worker = await only(executor)

    assert (worker.state, worker.exit_code) == ("Exited", -9)
    assert worker.detail == "It was ended because it used more memory than its 64 MiB (docker.memoryBytes)."


def test_what_a_worker_is_asked_for_depends_on_its_pool_alone(tmp_path: Path) -> None:
    docker = PoolConfig.model_validate(
        {
            "name": "linux",
            "executor": "docker",
            "docker": {"image": "a/b:1", "runtime": "runsc", "extraHosts": {"producer": "10.0.0.7"}, "graceSeconds": 9},
        }
    ).docker
    assert docker is not None

    spec = container_spec("linux-1-1", "linux", docker, {"BUILDYARD_GRACE_SECONDS": "60", "BUILDYARD_TOKEN": "t"})

    assert spec["Entrypoint"] == ["python", "-P", "-m", "worker"]
    assert spec["Cmd"] == ["--pool", "linux", "--name", "linux-1-1"]
    assert "BUILDYARD_GRACE_SECONDS=9" in spec["Env"]
    assert (spec["Hostname"], spec["StopTimeout"]) == ("linux-1-1", 14)
    assert (spec["HostConfig"]["Runtime"], spec["HostConfig"]["ExtraHosts"]) == ("runsc", ["producer:10.0.0.7"])
    assert spec["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/work"}]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "Field required"),
        ({"image": "a", "user": "0"}, "should match"),
        ({"image": "a", "user": "root"}, "should match"),
        ({"image": "a", "host": "ssh://far"}, "should match"),
        ({"image": "a", "host": "tcp://10.0.0.7:2376"}, "without them everybody on the network is root there"),
        ({"image": "a", "volumes": [{"source": "/run/docker.sock", "target": "/x"}]}, "let every build command"),
        ({"image": "a", "volumes": [{"source": "/", "target": "/x"}]}, "let every build command"),
        ({"image": "-x"}, "should match"),
        ({"image": "a", "memorybytes": 1}, "Extra inputs"),
    ],
)
def test_a_table_that_is_wrong_or_would_open_the_machine_is_refused(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        PoolConfig.model_validate({"name": "linux", "executor": "docker", "docker": table})


# ------------------------------------------------------------------------------------------------ names


async def test_farms_that_share_an_engine_see_only_their_own_workers(harness: DockerHarness) -> None:
    other_farm = f"other-{secrets.token_hex(4)}"
    other = harness.with_pool(harness.pool(farm=other_farm))
    try:
        await other.start("linux-1-1")
        executor = harness.executor()

        assert await executor.list() == ()
        await executor.start("linux-1-1")
        assert len(await executor.list()) == len(await other.list()) == 1
    finally:
        docker_engine.remove_farm(harness.url, other_farm)


async def test_twenty_starts_of_one_name_by_two_scalers_make_one_container(harness: DockerHarness) -> None:
    scalers = (harness.executor(), harness.executor())

    await asyncio.gather(*(scalers[number % 2].start("linux-1-1") for number in range(20)))

    assert (await only(scalers[0])).state == "Running"


async def test_a_container_that_another_scaler_left_unstarted_is_not_started_by_a_later_one(
    harness: DockerHarness,
) -> None:
    docker = harness.pool(pending_seconds=60)
    with docker_engine.client(harness.url) as engine:
        engine.create_container_from_config(
            container_spec("linux-1-1", "linux", docker, {}), f"{harness.farm}-linux-1-1"
        )
    clock = LateClock()
    executor = harness.with_pool(docker, clock)

    await executor.start("linux-1-1")
    waiting = await only(executor)
    clock.ahead = 61
    given_up = await only(executor)

    assert (waiting.state, waiting.pending_code, waiting.phase) == ("Running", PendingCode.STARTING, "created")
    assert (given_up.state, given_up.pending_code) == ("Exited", PendingCode.STARTING)
    assert given_up.detail == "It did not begin within 60 s: its start was interrupted."


async def test_looks_that_overlap_miss_no_worker(harness: DockerHarness) -> None:
    executor = harness.executor()
    looks = []
    for slot in range(1, 5):
        await executor.start(f"linux-{slot}-1")
        looks += [(slot, asyncio.create_task(executor.list())) for _ in range(3)]
        await asyncio.sleep(0)

    for slot, look in looks:
        assert {f"linux-{number}-1" for number in range(1, slot + 1)} <= {worker.name for worker in await look}


async def test_a_pool_that_is_not_of_containers_is_refused(harness: DockerHarness) -> None:
    with pytest.raises(InvalidRequest, match="belongs to no pool of containers"):
        await harness.executor().start("macos-1-1")


# ------------------------------------------------------------------------------------------------ what cannot begin


async def test_a_command_that_the_image_lacks_is_told_and_counts_as_a_failed_start(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(command=("/no/such/program",)))
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    worker = await only(executor)

    assert (worker.state, worker.exit_code) == ("Exited", 127)
    assert worker.detail == "The image has no program of the first word of docker.command (exit code 127)."
    assert "/no/such/program failed: No such file" in await text_of(executor)


async def test_a_volume_that_is_not_there_is_told_as_such(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(volumes=(DockerVolume(source="/no/such/folder", target="/x"),)))

    with pytest.raises(PermanentError, match=r"The engine refused: .*bind source path does not exist: /no/such/folder"):
        await executor.start("linux-1-1")
    assert await executor.list() == ()


async def test_a_network_that_is_not_there_is_told(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(network="no-such-network"))

    with pytest.raises(PermanentError, match=r"linux-1-1 could not be started: .*network no-such-network not found"):
        await executor.start("linux-1-1")

    worker = await only(executor)
    assert (worker.state, worker.pending_code) == ("Exited", PendingCode.BAD_SPEC)
    assert "network no-such-network not found" in worker.pending_reason


async def test_a_missing_image_is_waited_for_and_given_up_in_time_and_the_name_is_never_used_again(
    harness: DockerHarness,
) -> None:
    clock = LateClock()
    executor = harness.with_pool(harness.pool(image="no/such:image", pending_seconds=60), clock)
    await executor.start("linux-1-1")
    await executor.reap()

    waiting = await only(executor)
    clock.ahead = 61
    await executor.reap()
    given_up = await only(executor)
    await executor.start("linux-1-1")

    assert (waiting.state, waiting.pending_code) == ("Running", PendingCode.IMAGE_PULL)
    assert waiting.pending_reason == "The engine has no image no/such:image, and docker.pull is never: load it there."
    assert (given_up.state, given_up.pending_code, given_up.detail) == (
        "Exited",
        PendingCode.IMAGE_PULL,
        waiting.pending_reason,
    )
    assert (await only(executor)).state == "Exited"
    assert await text_of(executor) == ""


async def test_a_registry_that_does_not_answer_is_the_reason_why_a_worker_waits(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(image="127.0.0.1:9/none:1", pull="missing"))
    await executor.start("linux-1-1")

    async with asyncio.timeout(60):
        while "refused" not in (worker := await only(executor)).pending_reason.removeprefix("The engine refused"):
            await executor.reap()
            await asyncio.sleep(0.05)

    assert (worker.state, worker.pending_code) == ("Running", PendingCode.IMAGE_PULL)
    assert "127.0.0.1:9" in worker.pending_reason


async def test_a_worker_begins_as_soon_as_its_image_is_there(harness: DockerHarness) -> None:
    image = f"buildyard/late-{secrets.token_hex(4)}"
    executor = harness.with_pool(harness.pool(image=f"{image}:1"))
    await executor.start("linux-1-1")
    with docker_engine.client(harness.url) as engine:
        engine.tag(docker_engine.BASE, image, "1")
        try:
            await executor.reap()

            worker = await only(executor)

            assert (worker.state, worker.pending_code, worker.phase) == ("Running", None, "running")
        finally:
            await harness.close()
            engine.remove_image(f"{image}:1", force=True)


# ------------------------------------------------------------------------------------------------ what ended


async def test_only_the_last_ended_containers_stay_and_none_that_runs_goes(harness: DockerHarness) -> None:
    waiting = harness.with_pool(harness.pool(kept_containers=1))
    ending = harness.with_pool(harness.pool("exit:0", kept_containers=1))
    await waiting.start("linux-1-1")
    for name in ("linux-2-1", "linux-2-2", "linux-2-3"):
        await ending.start(name)
        await harness.gone(await ending.describe(name))
        await asyncio.sleep(1.1)  # engines tell the age of a container in whole seconds

    await waiting.list()
    await waiting.reap()

    assert {worker.name: worker.state for worker in await waiting.list()} == {
        "linux-1-1": "Running",
        "linux-2-3": "Exited",
    }


async def test_a_worker_on_its_way_out_by_sigterm_has_not_failed(harness: DockerHarness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")

    assert await executor.stop(30) == ()

    assert (await only(executor)).exit_code == -15


# ------------------------------------------------------------------------------------------------ logs


async def test_a_log_comes_in_whole_lines_however_long(harness: DockerHarness) -> None:
    (harness.fake / "lines.py").write_text("print('x' * 40_000)\nprint('end', end='')\n")
    executor = harness.with_pool(harness.pool(command=("python3", "/fake/lines.py")))
    await executor.start("linux-1-1")
    await harness.gone(await only(executor))

    pieces = [piece async for piece in executor.logs("linux-1-1")]

    assert b"".join(pieces) == b"x" * 40_000 + b"\nend"
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


async def test_a_log_has_what_was_written_to_either_stream(harness: DockerHarness) -> None:
    (harness.fake / "both.py").write_text("import sys\nprint('said')\nprint('warned', file=sys.stderr)\n")
    executor = harness.with_pool(harness.pool(command=("python3", "/fake/both.py")))
    await executor.start("linux-1-1")

    assert sorted((await text_of(executor)).splitlines()) == ["said", "warned"]


async def test_a_reader_may_leave_a_silent_log(harness: DockerHarness) -> None:
    executor = harness.executor()
    await executor.start("linux-1-1")

    async with asyncio.timeout(60), aclosing(executor.logs("linux-1-1", follow=True)) as pieces:
        await anext(pieces)

    assert (await only(executor)).state == "Running"


# ------------------------------------------------------------------------------------------------ the engine


async def test_an_engine_that_does_not_run_is_told_with_what_to_do(harness: DockerHarness) -> None:
    executor = harness.with_pool(harness.pool(host="unix:///nowhere/docker.sock"))

    with pytest.raises(TemporaryError) as caught:
        await executor.list()

    assert str(caught.value) == (
        "The Docker engine at unix:///nowhere/docker.sock cannot be reached (No such file or directory): "
        "start it, or correct docker.host of the pool."
    )


@contextmanager
def deaf_engine(place: Path) -> Iterator[str]:
    """A socket that takes connections and never answers."""
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(place))
        listening.listen(100)
        yield f"unix://{place}"


async def test_an_engine_that_hangs_is_told_in_time_and_holds_nobody_else_up(
    harness: DockerHarness, tmp_path: Path
) -> None:
    with deaf_engine(tmp_path / "deaf.sock") as host:
        looking = asyncio.create_task(harness.with_pool(harness.pool(host=host)).list())
        await asyncio.sleep(0)
        assert await harness.executor().list() == ()
        assert not looking.done()
        looking.cancel()
        await asyncio.wait({looking})

        harness.let_looks_take(LOOK_SECONDS)
        with pytest.raises(TemporaryError, match=r"did not answer within 2\.5 s"):
            await harness.with_pool(harness.pool(host=host)).list()


async def test_one_engine_that_is_away_is_no_empty_answer_of_the_others(harness: DockerHarness) -> None:
    here = PoolConfig(name="linux", executor="docker", docker=harness.pool())
    away = PoolConfig(name="windows", executor="docker", docker=harness.pool(host="unix:///nowhere/docker.sock"))
    executor = DockerExecutor({"linux": here, "windows": away}, {}, SystemClock())
    harness.executors.append(executor)

    with pytest.raises(TemporaryError, match="/nowhere/"):
        await executor.list()


async def test_an_engine_that_comes_back_is_asked_again(harness: DockerHarness, tmp_path: Path) -> None:
    place = tmp_path / "again.sock"
    executor = harness.with_pool(harness.pool(host=f"unix://{place}"))
    with pytest.raises(TemporaryError):
        await executor.list()

    breaker = docker_engine.Breaker(harness.url, place)
    try:
        assert await executor.list() == ()
    finally:
        breaker.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
async def test_a_socket_that_this_user_may_not_use_is_told_with_what_to_do(tmp_path: Path) -> None:
    with deaf_engine(tmp_path / "closed.sock") as host:
        Path(host.removeprefix("unix://")).chmod(0o600)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        script = (
            "import os, sys; from scaler.executors.docker_engine import Engine; os.setuid(65534)\n"
            f"try: Engine({host!r}).do(lambda client: client.version())\n"
            "except Exception as error: print(error)\n"
        )
        told = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
        )

    assert told.stdout == (
        f"This user may not use the Docker engine at {host}: add the scaler's user to the group that owns the socket, "
        "or name a rootless engine as docker.host.\n"
    ), told.stderr
