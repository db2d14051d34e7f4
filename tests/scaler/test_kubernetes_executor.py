"""The Kubernetes executor under faults: what the API server refuses, forgets, cuts off or never answers."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from buildyard.clock import SystemClock
from buildyard.contracts.api import WorkerInfo
from buildyard.contracts.pools_kubernetes import KubernetesPool
from buildyard.contracts.scaling import PendingCode, PoolConfig
from buildyard.errors import Forbidden, InvalidRequest, InvalidSettings, NotFound, TemporaryError
from scaler.executors.checking import check_all
from scaler.executors.kubernetes import KubernetesExecutor
from tests.scaler.fake_kubernetes import FakeCluster, fake_cluster, refusing, set_deadline

NAME = "linux-1-1"


class LateClock(SystemClock):
    """The machine's clock, some time after the objects' birth; tests move it on."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 9, 0, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Here:
    """A fake cluster, and executors on it."""

    def __init__(self, cluster: FakeCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.clock = LateClock()
        self.made: list[KubernetesExecutor] = []
        self.executor = self.another()

    def another(self, **table: Any) -> KubernetesExecutor:
        given = {"image": "worker:1", "namespace": "n", "kubeconfig": self.cluster.kubeconfig(self.folder), **table}
        pool = PoolConfig(name="linux", executor="kubernetes", kubernetes=KubernetesPool.model_validate(given))
        made = KubernetesExecutor({"linux": pool}, {"linux": {"BUILDYARD_API_URL": "http://p"}}, self.clock)
        self.made.append(made)
        return made

    async def only(self) -> WorkerInfo:
        (worker,) = await self.executor.list()
        return worker

    async def until(self, wanted: Callable[[WorkerInfo], bool]) -> WorkerInfo:
        async with asyncio.timeout(60):
            while not wanted(worker := await self.only()):
                await asyncio.sleep(0.01)
        return worker

    async def for_ever_listed(self) -> None:
        """List until that fails."""
        async with asyncio.timeout(60):
            while True:
                await self.executor.list()
                await asyncio.sleep(0.05)

    async def trusted(self) -> tuple[WorkerInfo, ...]:
        """What is listed as soon as anything is."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.executor.list()
                except TemporaryError:
                    await asyncio.sleep(0.02)


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Here]:
    set_deadline(monkeypatch, 60.0)
    async with fake_cluster() as cluster:
        made = Here(cluster, tmp_path)
        yield made
        for executor in made.made:
            await executor.aclose()


async def test_a_started_worker_waits_and_is_listed_at_once(here: Here) -> None:
    await here.executor.start(NAME)

    worker = await here.only()

    assert (worker.name, worker.pool, worker.state) == (NAME, "linux", "Running")
    assert (worker.pending_code, worker.phase) == (PendingCode.STARTING, "NoPod")


async def test_a_worker_runs_on_a_node_and_ends_with_its_exit_code(here: Here) -> None:
    await here.executor.start(NAME)
    await here.cluster.pod_runs(NAME)
    worker = await here.until(lambda one: one.phase == "Running")
    assert (worker.state, worker.node, worker.pending_code) == ("Running", "node-1", None)

    await here.cluster.pod_ends(NAME, 4)

    worker = await here.until(lambda one: one.state == "Exited")
    assert (worker.exit_code, worker.phase) == (4, "Failed")


async def test_a_name_is_created_once_by_however_many_scalers(here: Here) -> None:
    other = here.another()
    await asyncio.gather(*(one.start(NAME) for one in (here.executor, other) for _ in range(5)))

    assert len(here.cluster.objects["jobs"]) == 1
    assert [worker.name for worker in await other.list()] == [NAME]


async def test_a_conflict_that_is_no_twin_is_tried_again(here: Here) -> None:
    fault = refusing(409, "Conflict", "Operation cannot be fulfilled on resourcequotas", method="POST", times=1)
    here.cluster.faults.append(fault)

    with pytest.raises(TemporaryError):
        await here.executor.start(NAME)
    await here.executor.start(NAME)

    assert NAME in here.cluster.objects["jobs"]


async def test_a_job_of_that_name_that_is_none_of_ours_is_told(here: Here) -> None:
    await here.cluster.put("jobs", {"metadata": {"name": NAME, "labels": {}}, "spec": {}})
    with pytest.raises(InvalidSettings, match="that is not of the farm buildyard"):
        await here.executor.start(NAME)


@pytest.mark.parametrize(
    ("status", "reason", "message", "error", "said"),
    [
        (403, "Forbidden", 'jobs.batch is forbidden: User "x" cannot create', Forbidden, "may not create the Job"),
        (403, "Forbidden", "exceeded quota: q, requested: count/jobs.batch=1", TemporaryError, "quota does not allow"),
        (422, "Invalid", "Job.batch is invalid: spec.template", InvalidSettings, "The cluster refuses to create"),
        (404, "NotFound", 'namespaces "n" not found', InvalidSettings, 'namespaces "n" not found'),
        (500, "InternalError", "etcdserver: request timed out", TemporaryError, "could not create the Job"),
        (429, "TooManyRequests", "too many requests", TemporaryError, "could not create the Job"),
    ],
)
async def test_what_the_server_refuses_becomes_a_sentence_with_a_remedy(
    here: Here, status: int, reason: str, message: str, error: type[Exception], said: str
) -> None:
    here.cluster.faults.append(refusing(status, reason, message, method="POST"))

    with pytest.raises(error, match=said):
        await here.executor.start(NAME)


async def test_what_stands_in_front_of_a_server_may_answer_with_anything(here: Here) -> None:
    from aiohttp import web

    here.cluster.faults.append(lambda _: web.Response(status=502, text="<html>bad gateway</html>"))
    with pytest.raises(TemporaryError):
        await here.executor.list()
    with pytest.raises(TemporaryError, match="bad gateway"):
        await here.executor.start(NAME)


async def test_forbidden_lists_are_unknown_and_not_empty(here: Here) -> None:
    here.cluster.faults.append(refusing(403, "Forbidden", "jobs is forbidden", method="GET"))
    with pytest.raises(TemporaryError, match="may not"):
        await here.executor.list()


async def test_expired_credentials_are_told_and_read_anew_once_they_are_renewed(here: Here) -> None:
    await here.executor.start(NAME)
    here.cluster.token = "renewed"
    with pytest.raises(TemporaryError, match="credentials expired or were revoked"):
        await here.for_ever_listed()

    here.cluster.kubeconfig(here.folder)
    for connection in here.executor._connections:
        connection._reloaded_at = 0  # not to wait for it

    assert [worker.name for worker in await here.trusted()] == [NAME]


@pytest.mark.parametrize("forget", [False, True], ids=["resumed", "too old (410)"])
async def test_a_watch_that_is_cut_misses_nothing(here: Here, forget: bool) -> None:
    await here.executor.start(NAME)
    await here.cluster.pod_runs(NAME)
    await here.until(lambda one: one.phase == "Running")
    lists = here.cluster.count("GET", "/pods")

    await here.cluster.cut_watches(forget=forget)
    await here.cluster.pod_ends(NAME, 0)
    if forget:
        here.cluster.oldest = here.cluster.version

    async with asyncio.timeout(60):
        while (await here.trusted())[0].state != "Exited":
            await asyncio.sleep(0.01)
    assert here.cluster.count("GET", "/pods") > lists


async def test_a_job_deleted_while_nobody_watched_is_gone_after_the_new_list(here: Here) -> None:
    await here.executor.start(NAME)
    await here.only()
    await here.cluster.stop()
    here.cluster.objects["jobs"].clear()
    here.cluster.oldest = here.cluster.version = here.cluster.version + 10

    with pytest.raises(TemporaryError):
        await here.for_ever_listed()
    await here.cluster.start()

    async with asyncio.timeout(60):
        while await here.trusted():
            await asyncio.sleep(0.01)


async def test_a_server_that_refuses_connections_makes_everything_unknown_until_it_is_back(here: Here) -> None:
    await here.executor.start(NAME)
    await here.only()
    await here.cluster.stop()

    with pytest.raises(TemporaryError):
        await here.for_ever_listed()
    with pytest.raises(TemporaryError, match="cannot be reached"):
        await here.executor.start("linux-2-1")

    await here.cluster.start()
    assert [worker.name for worker in await here.trusted()] == [NAME]
    await here.executor.start(NAME)
    assert len(here.cluster.objects["jobs"]) == 1


async def test_a_server_that_hangs_makes_everything_unknown_within_the_deadline(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.executor.start(NAME)
    await here.only()
    here.cluster.hanging = True
    set_deadline(monkeypatch, 1.0)

    with pytest.raises(TemporaryError, match="did not answer within"):
        await here.for_ever_listed()
    with pytest.raises(TemporaryError, match="did not answer within"):
        await here.executor.start("linux-2-1")

    set_deadline(monkeypatch, 60.0)
    here.cluster.hanging = False
    names = {worker.name for worker in await here.trusted()}
    assert NAME in names
    await here.executor.start("linux-2-1")
    assert set(here.cluster.objects["jobs"]) == {NAME, "linux-2-1"}


async def test_a_create_whose_answer_was_lost_makes_no_twin(here: Here) -> None:
    lost = [True]

    def fault(request: Any) -> Any:
        if request.method == "POST" and lost:
            lost.clear()
            here.cluster.hanging = True
        return None

    here.cluster.faults.append(fault)
    # the fault lets this call through and holds all later ones: the Job is made, and nobody hears of it
    await here.executor.start(NAME)
    here.cluster.hanging = False
    await here.another().start(NAME)
    assert len(here.cluster.objects["jobs"]) == 1


async def test_many_pages_are_one_list(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaler.executors.kubernetes_view.PAGE", 7)
    for number in range(1, 41):
        await here.executor.start(f"linux-{number}-1")

    assert len(await here.another().list()) == 40


# ------------------------------------------------------------------------------------------------ giving up


async def test_a_worker_whose_image_cannot_be_pulled_is_given_up_after_its_bound(here: Here) -> None:
    await here.executor.start(NAME)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "worker:1"'}}
    await here.cluster.pod_of(NAME, phase="Pending", containerStatuses=[{"state": waiting}])
    worker = await here.until(lambda one: one.pending_code is PendingCode.IMAGE_PULL)
    assert worker.pending_reason.startswith("The image worker:1 cannot be pulled: Back-off pulling image")
    await here.executor.reap()
    assert f"{NAME}-pod" in here.cluster.objects["pods"]

    here.clock.pass_by(301)
    await here.executor.reap()

    worker = await here.until(lambda one: one.state == "Exited")
    assert worker.pending_code is PendingCode.IMAGE_PULL
    assert here.cluster.objects["pods"] == {}
    assert here.cluster.objects["jobs"][NAME]["spec"]["activeDeadlineSeconds"] == 1
    successor = here.another()
    assert (await successor.list())[0].pending_reason == worker.pending_reason


async def test_a_pod_that_began_while_it_was_to_be_given_up_is_left_alone(here: Here) -> None:
    await here.executor.start(NAME)
    waiting = {"waiting": {"reason": "ImagePullBackOff"}}
    await here.cluster.pod_of(NAME, phase="Pending", containerStatuses=[{"state": waiting}])
    await here.until(lambda one: one.pending_code is PendingCode.IMAGE_PULL)
    here.clock.pass_by(301)

    def begins(request: Any) -> Any:
        if request.method == "DELETE":
            pod = here.cluster.objects["pods"][f"{NAME}-pod"]
            pod["metadata"]["resourceVersion"] = "999"
        return None

    here.cluster.faults.append(begins)
    await here.executor.reap()

    assert f"{NAME}-pod" in here.cluster.objects["pods"]
    assert here.cluster.objects["jobs"][NAME]["spec"]["activeDeadlineSeconds"] > 1


async def test_a_job_whose_pod_the_quota_forbids_says_so_and_ends(here: Here) -> None:
    await here.executor.start(NAME)
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"uid": f"uid-{NAME}"},
        "reason": "FailedCreate",
        "message": 'Error creating: pods "x" is forbidden: exceeded quota: q, requested: pods=1',
        "lastTimestamp": "2026-11-21T09:00:05Z",
    }
    await here.cluster.put("events", event)

    worker = await here.until(lambda one: one.pending_code is PendingCode.QUOTA)
    assert "quota does not allow its pod" in worker.pending_reason

    here.clock.pass_by(301)
    await here.executor.reap()
    worker = await here.until(lambda one: one.state == "Exited")
    assert worker.pending_code is PendingCode.QUOTA


async def test_a_worker_that_ran_is_never_given_up(here: Here) -> None:
    await here.executor.start(NAME)
    await here.cluster.pod_runs(NAME)
    await here.until(lambda one: one.phase == "Running")
    here.clock.pass_by(10**6)

    await here.executor.reap()

    assert here.cluster.count("DELETE", "-pod") == here.cluster.count("PATCH", NAME) == 0


# ------------------------------------------------------------------------------------------------ protection


async def test_only_idle_pods_may_be_moved_and_busy_ones_are_protected_again(here: Here) -> None:
    for name in (NAME, "linux-2-1"):
        await here.executor.start(name)
        await here.cluster.pod_runs(name)
    async with asyncio.timeout(60):
        while {one.phase for one in await here.executor.list()} != {"Running"}:
            await asyncio.sleep(0.01)

    await here.executor.mark(frozenset({NAME}))
    assert _kept(here, NAME) == (None, None, None)
    assert _kept(here, "linux-2-1") == ("true", "false", "true")

    await here.executor.mark(frozenset())
    async with asyncio.timeout(60):
        while _kept(here, NAME) != ("true", "false", "true"):
            await here.executor.reap()
            await asyncio.sleep(0.01)


def _kept(here: Here, name: str) -> tuple[str | None, ...]:
    metadata = here.cluster.objects["pods"][f"{name}-pod"]["metadata"]
    annotations = metadata.get("annotations", {})
    return (
        metadata["labels"].get("buildyard.dev/protected"),
        annotations.get("cluster-autoscaler.kubernetes.io/safe-to-evict"),
        annotations.get("karpenter.sh/do-not-disrupt"),
    )


async def test_a_successor_protects_whom_its_predecessor_called_idle(here: Here) -> None:
    await here.executor.start(NAME)
    await here.cluster.pod_runs(NAME)
    await here.until(lambda one: one.phase == "Running")
    await here.executor.mark(frozenset({NAME}))
    assert _kept(here, NAME) == (None, None, None)

    successor = here.another()
    await successor.list()
    await successor.reap()

    assert _kept(here, NAME) == ("true", "false", "true")


async def test_stopping_deletes_nothing(here: Here) -> None:
    await here.executor.start(NAME)
    await here.cluster.pod_runs(NAME)

    assert await here.executor.stop(0.1) == (NAME,)

    assert here.cluster.count("DELETE", "") == 0


# ------------------------------------------------------------------------------------------------ logs


async def test_a_followed_log_goes_on_across_streams_that_break(here: Here) -> None:
    await here.executor.start(NAME)
    told = here.cluster.logs[f"{NAME}-pod"] = [b"2026-11-21T09:00:00.1Z one\n", b"2026-11-21T09:00:00.2Z two\n"]
    await here.cluster.pod_runs(NAME)
    async with aclosing(here.executor.logs(NAME, follow=True)) as pieces:
        assert [await anext(pieces), await anext(pieces)] == [b"one\n", b"two\n"]
        await here.cluster.cut_watches()
        told.append(b"2026-11-21T09:00:00.3Z three\n")
        assert await anext(pieces) == b"three\n"
        await here.cluster.pod_ends(NAME, 0)
        assert [piece async for piece in pieces] == []


async def test_the_log_of_a_worker_without_a_pod_is_empty_and_of_a_vanished_one_not_found(here: Here) -> None:
    await here.executor.start(NAME)
    assert [piece async for piece in here.executor.logs(NAME)] == []
    finished = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-21T09:00:09Z"}]}
    await here.cluster.put("jobs", {**here.cluster.objects["jobs"][NAME], "status": finished})
    await here.until(lambda one: one.state == "Exited")
    with pytest.raises(NotFound, match="its log with it"):
        await anext(here.executor.logs(NAME))


# ------------------------------------------------------------------------------------------------ bad settings


async def test_a_worker_of_no_pool_here_is_refused(here: Here) -> None:
    with pytest.raises(InvalidRequest, match="of no pool on Kubernetes"):
        await here.executor.start("windows-1-1")
    with pytest.raises(NotFound):
        await here.executor.describe("windows-1-1")


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        (None, {}, "There is no kubeconfig"),
        ("{", {}, "is broken"),
        ("[]", {}, "is broken"),
        ("", {}, "is broken"),
        ("clusters: []\ncontexts: []\nusers: []\n", {}, "Expected key current-context"),
        ("current-context: a\nclusters: []\ncontexts: []\nusers: []\n", {}, "Expected object with name a"),
        ("good", {"context": "other"}, "Expected object with name other"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, text: str | None, table: dict[str, Any], said: str
) -> None:
    cluster = FakeCluster()
    file = tmp_path / "kubeconfig"
    if text == "good":
        cluster.kubeconfig(tmp_path)
    elif text is not None:
        file.write_text(text)
    given = {"image": "worker:1", "namespace": "n", "kubeconfig": str(file), **table}
    pool = PoolConfig(name="linux", executor="kubernetes", kubernetes=KubernetesPool.model_validate(given))

    with pytest.raises(InvalidSettings, match=said) as raised:
        KubernetesExecutor({"linux": pool}, {}, SystemClock())
    assert "kubectl config get-contexts" in raised.value.remedy


def test_a_deadline_that_leaves_no_time_for_a_job_is_refused(tmp_path: Path) -> None:
    table = KubernetesPool(image="worker:1", kubeconfig=FakeCluster().kubeconfig(tmp_path), deadline_seconds=7200)
    pool = PoolConfig(name="linux", executor="kubernetes", kubernetes=table)
    with pytest.raises(InvalidSettings, match="its workers could never claim a job"):
        KubernetesExecutor({"linux": pool}, {}, SystemClock())


async def test_a_scaler_whose_credentials_are_refused_does_not_begin(here: Here) -> None:
    here.cluster.token = "another"
    with pytest.raises(InvalidSettings, match="credentials expired or were revoked"):
        await check_all([here.executor])


async def test_a_scaler_whose_cluster_is_away_begins_all_the_same(here: Here) -> None:
    await here.cluster.stop()
    await check_all([here.executor])


@pytest.mark.parametrize("fault", ["missing", "refused"])
async def test_a_scaler_that_cannot_begin_says_so_in_one_line(here: Here, fault: str) -> None:
    kubeconfig = here.cluster.kubeconfig(here.folder) if fault == "refused" else str(here.folder / "nowhere")
    here.cluster.token = "another"
    pools = here.folder / "pools.toml"
    pools.write_text(
        f'[pools.linux]\nexecutor = "kubernetes"\n[pools.linux.kubernetes]\nimage = "i"\nkubeconfig = "{kubeconfig}"\n'
    )
    settings = {"DATA_DIR": str(here.folder / "data"), "POOLS_FILE": str(pools), "SCALER_PORT": "0"}
    environment = {"PATH": os.environ["PATH"], **{f"BUILDYARD_{name}": value for name, value in settings.items()}}

    command = (sys.executable, "-P", "-m", "scaler")
    scaler = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=Path(__file__).parents[2], stdout=PIPE, stderr=STDOUT
    )
    told, _ = await asyncio.wait_for(scaler.communicate(), 60)

    assert scaler.returncode == 2, told
    (line,) = told.decode().splitlines()
    wanted = "There is no kubeconfig" if fault == "missing" else "credentials expired or were revoked"
    assert wanted in line
