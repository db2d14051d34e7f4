"""The executor of Jobs on a real API server: what the cluster refuses, cannot place, takes away, or is silent about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.config import incluster_config

from buildyard.clock import SystemClock
from buildyard.contracts.scaling import PendingCode
from buildyard.errors import Forbidden, InvalidSettings, TemporaryError
from scaler.executors.kubernetes import KubernetesExecutor
from scaler.executors.kubernetes_answers import NEEDED
from scaler.executors.kubernetes_connection import CALL_SECONDS
from scaler.executors.kubernetes_job import FARM, PROTECTED, disruption_budget
from tests.cluster.kubernetes_harness import PATIENCE, KubernetesHarness
from tests.cluster.running import Cluster

NAME = "linux-1-1"


class FastClock(SystemClock):
    """The machine's clock, and later by what a test adds."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
async def here(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesHarness]:
    made = KubernetesHarness(cluster, tmp_path)
    await made.open()
    yield made
    await made.close()


def made_in(here: KubernetesHarness, kind: str) -> list[dict[str, Any]]:
    """The objects of the test's namespace."""
    group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
    with here.cluster.client() as api:
        items: list[dict[str, Any]] = api.get(f"{group}/namespaces/{here.namespace}/{kind}").json()["items"]
    return items


def make(here: KubernetesHarness, path: str, body: dict[str, Any]) -> None:
    with here.cluster.client() as api:
        api.post(path.format(n=here.namespace), json=body).raise_for_status()


async def listed(executor: KubernetesExecutor) -> set[str]:
    """Who is listed, as soon as anything is."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return {worker.name for worker in await executor.list()}
            except TemporaryError:
                await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------------ why it waits


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"image": "nowhere.invalid/worker:1"}, PendingCode.IMAGE_PULL, "cannot be pulled"),
        ({"node_selector": {"disk": "none"}}, PendingCode.NO_NODE, "No node takes it"),
        ({"requests": {"cpu": "100000"}}, PendingCode.NO_NODE, "Insufficient cpu"),
        ({"environment_secret": "missing"}, PendingCode.BAD_SPEC, 'secret "missing" not found'),
        ({"service_account": "missing"}, PendingCode.BAD_SPEC, 'serviceaccount "missing" not found'),
        ({"priority_class": "missing"}, PendingCode.BAD_SPEC, "no PriorityClass with name missing"),
        (
            {"volumes": ({"name": "v", "path": "/v", "source": {"persistentVolumeClaim": {"claimName": "no"}}},)},
            PendingCode.VOLUME,
            'persistentvolumeclaim "no" not found',
        ),
        (
            {"volumes": ({"name": "v", "path": "/v", "source": {"secret": {"secretName": "no"}}},)},
            PendingCode.VOLUME,
            'secret "no" not found',
        ),
    ],
    ids=["image", "selector", "cpu", "secret", "service account", "priority", "claim", "secret volume"],
)
async def test_a_worker_that_cannot_begin_says_why_and_is_given_up_after_its_bound(
    here: KubernetesHarness, changes: dict[str, Any], code: PendingCode, said: str
) -> None:
    clock = FastClock()
    executor = here.with_table(here.table(**changes), clock)
    await executor.start(NAME)
    worker = await here.until(executor, NAME, lambda one: one.pending_code is code)
    assert said in worker.pending_reason
    assert worker.state == "Running"

    clock.ahead = timedelta(hours=1)
    async with asyncio.timeout(PATIENCE):  # as at every tick: a pod that has changed meanwhile is looked at again
        while (worker := await executor.describe(NAME)).state != "Exited":
            await executor.reap()
            await asyncio.sleep(0.1)
    assert (worker.pending_code, said in worker.pending_reason) == (code, True)
    (job,) = made_in(here, "jobs")
    assert job["spec"]["activeDeadlineSeconds"] == 1
    await executor.start(NAME)
    assert await listed(executor) == {NAME}


async def test_a_quota_on_pods_is_told_and_one_on_jobs_refuses_the_start(here: KubernetesHarness) -> None:
    executor = here.executor()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    hard = {"pods": "0", "count/jobs.batch": "1"}
    make(here, "/api/v1/namespaces/{n}/resourcequotas", {**quota, "spec": {"hard": hard}})

    async with asyncio.timeout(PATIENCE):  # until the quota is counted, creation is refused with a sentence of its own
        while True:
            try:
                await executor.start(NAME)
                break
            except TemporaryError:
                await asyncio.sleep(0.2)
    worker = await here.until(executor, NAME, lambda one: one.pending_code is PendingCode.QUOTA)
    assert "quota does not allow its pod" in worker.pending_reason

    with pytest.raises(TemporaryError, match="quota does not allow"):
        await executor.start("linux-2-1")


async def test_a_spec_that_the_api_server_refuses_is_one_sentence(here: KubernetesHarness) -> None:
    bad = here.table(limits={"memory": "1Mi"}, requests={"memory": "2Gi"})
    with pytest.raises(InvalidSettings, match="must be less than or equal to memory limit"):
        await here.with_table(bad).start(NAME)
    assert made_in(here, "jobs") == []


async def test_a_missing_namespace_is_one_sentence(here: KubernetesHarness) -> None:
    executor = here.with_table(here.table(namespace="not-there"))
    with pytest.raises(InvalidSettings, match='namespaces "not-there" not found'):
        await executor.start(NAME)


async def test_who_may_do_nothing_is_told_what_it_lacks(here: KubernetesHarness) -> None:
    token = account(here, "nobody")
    folder = here.folder / "nobody"
    folder.mkdir()
    executor = here.with_table(here.table(kubeconfig=here.relay.kubeconfig(folder, token=token)))

    with pytest.raises(Forbidden, match="may not create the Job"):
        await executor.start(NAME)
    with pytest.raises(TemporaryError, match="may not read"):
        await executor.list()
    with pytest.raises(InvalidSettings, match="may not get jobs, list jobs, watch jobs, create jobs"):
        await executor.check()


async def test_a_token_that_was_revoked_is_told(here: KubernetesHarness) -> None:
    folder = here.folder / "old"
    folder.mkdir()
    executor = here.with_table(here.table(kubeconfig=here.relay.kubeconfig(folder, token="not-a-token")))
    with pytest.raises(TemporaryError, match="credentials expired or were revoked"):
        await executor.list()
    with pytest.raises(InvalidSettings, match="credentials expired or were revoked"):
        await executor.check()


def account(here: KubernetesHarness, name: str) -> str:
    """A service account with the scaler's rights and no others; a token of it."""
    meta = {"metadata": {"name": name}}
    make(here, "/api/v1/namespaces/{n}/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", **meta})
    with here.cluster.client() as api:
        path = f"/api/v1/namespaces/{here.namespace}/serviceaccounts/{name}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        token: str = api.post(path, json=asked).json()["status"]["token"]
    return token


def allow(here: KubernetesHarness, name: str) -> None:
    """Bind the rights that a scaler needs to an account."""
    rules = [{"apiGroups": [group], "resources": [what], "verbs": list(verbs)} for group, what, verbs in NEEDED]
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/{n}/"
    meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    make(here, rbac + "roles", {**meta, "kind": "Role", "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": here.namespace}
    make(here, rbac + "rolebindings", {**meta, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]})


async def test_a_scaler_in_a_pod_does_with_its_role_and_a_token_that_rotates(
    here: KubernetesHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, authority = here.folder / "token", here.folder / "ca.crt"
    token.write_text(account(here, "scaler"))
    allow(here, "scaler")
    authority.write_bytes(here.relay.authority())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(here.relay.port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    executor = here.with_table(here.table("write:3,wait", kubeconfig=""))

    await executor.check()
    await executor.start(NAME)
    await here.until(executor, NAME, lambda one: one.phase == "Running")
    await executor.mark(frozenset({NAME}))
    async with aclosing(executor.logs(NAME, follow=True)) as pieces:
        assert (await anext(pieces)).startswith(b"started")
    with here.cluster.client() as api:
        api.delete(f"/api/v1/namespaces/{here.namespace}/serviceaccounts/scaler").raise_for_status()
    token.write_text(account(here, "scaler"))

    async with asyncio.timeout(PATIENCE):
        while executor._connections[0]._retired is None:  # until the token from before is refused, and read anew
            await listed(executor)
            await asyncio.sleep(0.2)
    assert await listed(executor) == {NAME}


# ------------------------------------------------------------------------------------------------ outages


@pytest.mark.parametrize("how", ["refused", "hanging"])
async def test_an_outage_of_the_api_server_makes_no_duplicate_and_removes_nobody(
    here: KubernetesHarness, how: str
) -> None:
    executor = here.executor()
    await executor.start(NAME)
    pid = await here.runs(NAME)
    await here.until(executor, NAME, lambda one: one.phase == "Running")

    here.let_calls_take(CALL_SECONDS)
    await here.relay.refuse() if how == "refused" else here.relay.hold()
    with pytest.raises(TemporaryError):
        await until_unknown(executor)
    for _ in range(2):
        with pytest.raises(TemporaryError):
            await executor.start("linux-2-1")
        await executor.reap()

    here.let_calls_take(30.0)
    await here.relay.open() if how == "refused" else here.relay.release()
    back = asyncio.get_running_loop().time()
    assert NAME in await listed(executor)
    assert asyncio.get_running_loop().time() - back < 20
    await executor.start("linux-2-1")
    await executor.start(NAME)
    assert {job["metadata"]["name"] for job in made_in(here, "jobs")} == {NAME, "linux-2-1"}
    assert await here.runs(NAME) == pid


async def until_unknown(executor: KubernetesExecutor) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            await executor.list()
            await asyncio.sleep(0.05)


async def test_a_watch_from_before_the_servers_memory_is_begun_anew(here: KubernetesHarness) -> None:
    executor = here.executor()
    await executor.start(NAME)
    await here.until(executor, NAME, lambda one: one.phase == "Running")
    watched = executor._sites[0].view._pods
    await here.relay.refuse()
    watched._version = "1"  # etcd keeps five minutes: a version that was compacted long ago
    await here.drain(NAME)
    await here.relay.open()

    worker = await here.until(executor, NAME, lambda one: one.state == "Exited")
    assert worker.phase == "Failed"
    assert watched._version != "1"


async def test_two_scalers_that_both_lead_make_no_duplicate(here: KubernetesHarness) -> None:
    one, other = here.executor(), here.executor()
    names = [f"linux-{slot}-1" for slot in range(1, 11)]

    await asyncio.gather(*(executor.start(name) for name in names for executor in (one, other)))

    assert sorted(job["metadata"]["name"] for job in made_in(here, "jobs")) == sorted(names)
    assert await listed(one) == await listed(other) == set(names)


# ------------------------------------------------------------------------------------------------ disruption


async def test_a_busy_pod_is_not_evicted_and_an_idle_one_is(here: KubernetesHarness) -> None:
    budget = disruption_budget(here.namespace, "buildyard")
    make(here, "/apis/policy/v1/namespaces/{n}/poddisruptionbudgets", budget)
    executor = here.executor()
    await executor.start(NAME)
    await here.until(executor, NAME, lambda one: one.phase == "Running")
    (pod,) = made_in(here, "pods")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod["metadata"]["name"]}}
    path = f"/api/v1/namespaces/{here.namespace}/pods/{pod['metadata']['name']}/eviction"
    assert budget["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()

    with here.cluster.client() as api:
        assert api.post(path, json=eviction).status_code == 429
        await executor.mark(frozenset({NAME}))
        (pod,) = made_in(here, "pods")
        assert PROTECTED not in pod["metadata"]["labels"]
        assert "karpenter.sh/do-not-disrupt" not in pod["metadata"].get("annotations", {})
        async with asyncio.timeout(PATIENCE):
            while api.post(path, json=eviction).status_code == 429:
                await asyncio.sleep(0.2)

    async with asyncio.timeout(PATIENCE):  # what the platform took is replaced, under the same name
        while {one["metadata"]["uid"] for one in made_in(here, "pods")} in ({pod["metadata"]["uid"]}, set()):
            await asyncio.sleep(0.1)
    await here.until(executor, NAME, lambda one: one.phase == "Running")
    assert await listed(executor) == {NAME}


async def test_a_job_of_another_farm_is_not_ours(here: KubernetesHarness) -> None:
    await here.with_table(here.table(farm="other")).start(NAME)
    executor = here.executor()

    assert await executor.list() == ()
    with pytest.raises(InvalidSettings, match="not of the farm buildyard"):
        await executor.start(NAME)
    (job,) = made_in(here, "jobs")
    assert job["metadata"]["labels"][FARM] == "other"


async def test_the_log_of_a_finished_pod_is_still_there(here: KubernetesHarness) -> None:
    executor = here.executor("write:2000,exit:0")
    await executor.start(NAME)
    await here.until(executor, NAME, lambda one: one.state == "Exited")

    async with aclosing(executor.logs(NAME, follow=True)) as pieces:
        text = b"".join([piece async for piece in pieces])

    assert text.endswith(b"line 1998\nline 1999\n")
    assert len(text.splitlines()) == 2001


async def test_stopping_leaves_every_pod_alone(here: KubernetesHarness) -> None:
    executor = here.executor()
    await executor.start(NAME)
    await here.until(executor, NAME, lambda one: one.phase == "Running")

    assert await executor.stop(0.2) == (NAME,)

    (pod,) = made_in(here, "pods")
    assert "deletionTimestamp" not in pod["metadata"]
