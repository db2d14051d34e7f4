"""Producers that die at every moment there is, one by one, beside one another, or with everything else."""

from __future__ import annotations

import asyncio
import os
import signal
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from buildyard.cli import local
from buildyard.cli.local import Farm, Part, held_port
from buildyard.client import ProducerClient, ScalerClient
from buildyard.contracts.api import BuildStatus
from buildyard.errors import ProducerUnavailable, TemporaryError
from chaos.processes import workers
from tests.journey.faulty_producer import FOLDER, IN_UPLOAD, MOMENTS, UPLOADED
from tests.journey.yard import PATIENCE, QUICK, Yard, until, zipped
from tests.servers import need

pytestmark = [pytest.mark.journey]

ROOT = Path(__file__).resolve().parents[2]
FILLING_BYTES = 12 * 2**20
_READY_SECONDS = 60


class DyingFarm(Farm):
    """A farm whose producer dies at each of MOMENTS."""

    def _prepare(self) -> None:
        super()._prepare()
        self.producer._arguments = ("tests.journey.faulty_producer",)


@asynccontextmanager
async def yard_of(farm: type[Farm], folder: Path, env: Mapping[str, str], workers_most: int = 3) -> AsyncIterator[Yard]:
    pools = folder / "pools.toml"
    pools.write_text(f"[pools.linux.policy]\nmax_workers = {workers_most}\nburst_threshold = 0\nburst_size = 4\n")
    (folder / "ledger").touch()
    settings = {**QUICK, **env, "BUILDYARD_POOLS_FILE": str(pools), "PYTHONPATH": str(ROOT)}
    async with (
        farm(folder / "data", env=settings, grace_seconds=10) as running,
        ProducerClient(running.api_url) as producer,
        ScalerClient(running.scaler_url) as scaler,
    ):
        yield Yard(running, producer, scaler, folder)


def counted_project(folder: Path, before: str = "true", filling: int = 0) -> bytes:
    """A project whose build leaves a line in a ledger and in its log; `filling` makes it that many bytes larger."""
    line = f'@echo "ran $$BUILDYARD_ATTEMPT" | tee -a {folder / "ledger"}'
    files = {"Makefile": f"all:\n\t{line}\n\t@{before}\n"}
    if filling:
        files["filling"] = b64encode(os.urandom(filling)).decode()
    return zipped(files)


async def broken_promises(yard: Yard, status: BuildStatus) -> list[str]:
    """What is wrong with a counted project's build, in sentences."""
    wrong = []
    if status.status != "Succeeded" or not status.reason:
        wrong.append(f"it ended {status.status}: {status.reason}")
    mine = {f"ran {one.job_id}/{one.number}" for one in status.attempts}
    ran = Counter((yard.folder / "ledger").read_text().splitlines())
    wrong += [f"{line} {ran[line]} times" for line in mine if ran[line] > 1]
    log = Counter(line for line in (await yard.log(status.execution_id)).split("\n") if line.startswith("ran "))
    wrong += [f"its log says {line!r} {count} times" for line, count in log.items() if count > 1]
    last = f"ran {status.attempts[-1].job_id}/{status.attempts[-1].number}"
    wrong += [] if log[last] else [f"its log lacks {last}"]
    numbers = [event.seq async for event in yard.producer.events(status.execution_id)]
    wrong += [] if numbers == list(range(1, len(numbers) + 1)) else [f"its events are numbered {numbers}"]
    return wrong


async def test_a_producer_killed_at_any_moment_loses_and_doubles_nothing(
    where: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One build on its way through all the deaths."""
    need("make")
    monkeypatch.setattr(local, "_LONGEST_DELAY", local._FIRST_DELAY)
    marks = tmp_path / "marks"
    marks.mkdir()
    # What a broken upload left goes after seconds instead of a day.
    env = {**where, FOLDER: str(marks), "BUILDYARD_UPLOAD_KEEP_HOURS": str(3 / 3600)}
    async with yard_of(DyingFarm, tmp_path, env) as yard:
        project = counted_project(tmp_path, filling=FILLING_BYTES)
        failures = []
        build = ""
        async with asyncio.timeout(PATIENCE):
            while not build:
                try:
                    build = await yard.submit(project)
                except TemporaryError as error:
                    failures.append({path.name for path in marks.iterdir()})
                    await asyncio.sleep(error.retry_after)

        status = await yard.end(build)

        assert {path.name for path in marks.iterdir()} == set(MOMENTS), "each moment came"
        told = [one for one in failures if one]
        assert (told[0], {IN_UPLOAD, UPLOADED} in told) == ({IN_UPLOAD}, True), "its sender was told of both"
        assert [(one.number, one.outcome) for one in status.attempts] == [(1, "Succeeded")]
        assert await broken_promises(yard, status) == []
        assert [one.execution_id for one in (await yard.producer.builds()).builds] == [build]
        assert yard.farm.producer.restarts == len(MOMENTS)
        objects = yard.farm.data_dir / "objects"
        await until(lambda: _only(objects, "uploads", 1))
        await until(lambda: _only(objects, "quarantine", 0))


async def _only(objects: Path, folder: str, count: int) -> bool:
    """Whether so many files lie there, half-written ones too."""
    return sum(path.is_file() for path in (objects / folder).rglob("*")) == count


async def test_everything_killed_in_the_middle_of_builds_goes_on_where_it_was(
    where: dict[str, str], tmp_path: Path
) -> None:
    need("make")
    gate = tmp_path / "gate"
    async with yard_of(Farm, tmp_path, where) as yard:
        project = counted_project(tmp_path, f"while ! test -e {gate}; do sleep 0.05; done")
        builds = [await yard.submit(project) for _ in range(5)]
        await asyncio.gather(*(yard.stage(build, "Build") for build in builds[:3]))
        for part in (yard.farm.producer, yard.farm.scaler):
            part.kill()
        victims = workers(yard.farm.data_dir)
        for one in victims:
            os.kill(one.pid, signal.SIGKILL)
        gate.touch()

        ends = [await yard.end(build) for build in builds]

        assert len(victims) == 3
        assert [await broken_promises(yard, end) for end in ends] == [[]] * 5
        assert [[one.outcome for one in end.attempts] for end in ends[:3]] == [["Lost", "Succeeded"]] * 3


async def test_two_producers_share_the_work_and_one_goes_on_when_the_other_is_killed(
    fresh_postgres: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    need("make")
    env = request.getfixturevalue("two_servers")
    gate = tmp_path / "gate"
    async with yard_of(Farm, tmp_path, env) as yard, _second(yard, env) as (part, other):
        project = counted_project(tmp_path, f"while ! test -e {gate}; do sleep 0.05; done")
        clients = [yard.producer, other] * 4
        builds = [(await client.upload(_once(project), {}, filename="p.zip")).execution_id for client in clients]
        await yard.stage(builds[0], "Build")
        watching = [
            asyncio.create_task(_watched(client, build)) for client in (yard.producer, other) for build in builds
        ]
        part.kill()
        gate.touch()

        ends = [await yard.end(build) for build in builds]

        assert [await broken_promises(yard, end) for end in ends] == [[]] * 8
        assert [[one.outcome for one in end.attempts] for end in ends] == [["Succeeded"]] * 8, "no lease was ended"
        seen = await asyncio.gather(*watching)
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
        assert {len(numbers) for numbers in seen} != {0}
        assert part.restarts == 1


@pytest.fixture
def two_servers(request: pytest.FixtureRequest, fresh_postgres: str) -> dict[str, str]:
    from tests import servers

    url = servers.with_prefix(request.getfixturevalue("rabbitmq_3_url"))
    return {"BUILDYARD_BROKER_URL": url, "BUILDYARD_STORE_URL": fresh_postgres}


@asynccontextmanager
async def _second(yard: Yard, env: Mapping[str, str]) -> AsyncIterator[tuple[Part, ProducerClient]]:
    """Another producer on the same servers, which is started again when it dies."""
    port, holder = held_port("127.0.0.1")
    own = {**yard.farm.producer._env, "BUILDYARD_PORT": str(port)}
    part = Part("other", ("orchestrator",), yard.folder / "other.log", own, ProducerUnavailable, lambda _: None)
    try:
        await part.start(_READY_SECONDS)
        async with ProducerClient(f"http://127.0.0.1:{port}") as client:
            yield part, client
    finally:
        await part.stop(10)
        if holder is not None:
            holder.close()


async def _watched(client: ProducerClient, build: str) -> list[int]:
    """The numbers of all events of a build, watched to its end also while its producer is away."""
    seen: list[int] = []
    while True:
        try:
            async with aclosing(client.events(build, after=len(seen))) as events:
                async for event in events:
                    seen.append(event.seq)
                    if event.type == "build_ended":
                        return seen
        except TemporaryError as error:
            await asyncio.sleep(error.retry_after)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
