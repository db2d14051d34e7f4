"""The scaler's rights are those it uses: no rule is there that it does without, and it is refused nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from buildyard.clock import SystemClock
from buildyard.contracts.pools_kubernetes import KubernetesPool, PendingBounds
from buildyard.contracts.scaling import PoolConfig
from scaler.executors.kubernetes import KubernetesExecutor
from scaler.executors.kubernetes_connection import Connection
from scaler.executors.kubernetes_job import worker_job
from scaler.leading_lease import LeaseLock
from tests.cluster.account import RIGHTS, kubeconfig, make_account, role, token
from tests.cluster.objects import IMAGE, Place
from tests.cluster.running import Cluster

LEASE = "buildyard-scaler"
PATIENCE = 60.0


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    """A namespace with the scaler's account, role and binding as the manifests have them."""
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's: nobody writes down its requests")
    with cluster.namespace() as namespace, cluster.client() as api:
        place = Place(api, namespace)
        make_account(place)
        yield place


def as_account(cluster: Cluster, place: Place, account: str = "scaler") -> httpx.Client:
    """A client of the API with an account's token."""
    headers = {"authorization": f"Bearer {token(place, account=account)}"}
    base = place.api.base_url
    return httpx.Client(base_url=base, verify=cluster.authority(), headers=headers, trust_env=False, timeout=60)


def rights_of(api: httpx.Client, namespace: str) -> set[tuple[str, str]]:
    """What its caller may do in a namespace, by the API server's own word."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    answer = api.post(path, json={"spec": {"namespace": namespace}}).raise_for_status()
    rules: list[dict[str, Any]] = answer.json()["status"]["resourceRules"]
    return {(verb, what) for rule in rules for verb in rule["verbs"] for what in rule["resources"]}


def test_the_scaler_may_do_what_its_role_says_and_nothing_else(cluster: Cluster, place: Place) -> None:
    with as_account(cluster, place) as api:
        elsewhere = rights_of(api, "default")
        assert rights_of(api, place.namespace) - elsewhere == role()
        assert all(what.startswith("selfsubject") for _, what in elsewhere), "as everybody who is somebody"
        assert api.get(f"/api/v1/namespaces/{place.namespace}/secrets").status_code == httpx.codes.FORBIDDEN
        assert api.get("/api/v1/nodes").status_code == httpx.codes.FORBIDDEN


def test_no_other_account_of_a_farm_may_do_anything_or_gets_a_token(cluster: Cluster, place: Place) -> None:
    """The producer asks the API server nothing, and neither do workers and servers."""
    base = [made for file in sorted(RIGHTS.parent.glob("*.yaml")) for made in yaml.safe_load_all(file.read_text())]
    bound = [one["name"] for made in base if made["kind"].endswith("RoleBinding") for one in made["subjects"]]
    assert bound == ["scaler"]
    accounts = {made["metadata"]["name"]: made for made in base if made["kind"] == "ServiceAccount"}
    assert {"default", "producer", "scaler", "worker"} == accounts.keys()
    assert all(made["automountServiceAccountToken"] is False for made in accounts.values())
    pods = {
        made["metadata"]["name"]: made["spec"]["template"]["spec"]
        for made in base
        if "template" in made.get("spec", {})
    }
    assert pods["producer"]["serviceAccountName"] == "producer"
    assert [name for name, pod in pods.items() if pod["automountServiceAccountToken"]] == ["scaler"]

    for account in ("producer", "worker"):
        place.make("serviceaccounts", {"metadata": {"name": account}})
        with as_account(cluster, place, account) as api:
            assert rights_of(api, place.namespace) == rights_of(api, "default")
            for kind in ("api/v1/{}/pods", "apis/batch/v1/{}/jobs", "api/v1/{}/secrets"):
                refused = api.get("/" + kind.format(f"namespaces/{place.namespace}"))
                assert refused.status_code == httpx.codes.FORBIDDEN


async def test_starting_and_watching_workers_and_leading_uses_every_rule_and_is_refused_nothing(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(kubeconfig(cluster, token(place)))
    common = {
        "namespace": place.namespace,
        "kubeconfig": str(file),
        "command": ("sh", "-c", "echo began; exec sleep 600"),
    }
    small = {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}
    good = KubernetesPool(image=IMAGE, **common, **small)
    bad = KubernetesPool(
        image="registry.invalid/worker:1",
        **common,
        **small,
        pending_seconds=PendingBounds(image_pull=6),
    )
    tables = {"linux": good, "wrong": bad}
    pools = {name: PoolConfig(name=name, executor="kubernetes", kubernetes=table) for name, table in tables.items()}
    executor = KubernetesExecutor(pools, {}, SystemClock())
    lock = LeaseLock(Connection(str(file)), place.namespace, LEASE, "one", SystemClock())
    try:
        async with asyncio.timeout(PATIENCE):
            await lock.won()
        lock.resign()
        await executor.list()
        await executor.start("linux-1-1")
        await executor.start("wrong-1-1")
        other = worker_job(good, "linux-2-1", {}, SystemClock().now())
        jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
        assert place.api.post(jobs, json=other).is_success  # another scaler was quicker, and we have not seen it yet
        await executor.start("linux-2-1")
        async with asyncio.timeout(PATIENCE):
            while not b"".join([piece async for piece in executor.logs("linux-1-1")]):
                await asyncio.sleep(0.2)
            await executor.mark(frozenset({"linux-1-1"}))
            while (await executor.describe("wrong-1-1")).state == "Running":
                await executor.reap()
                await asyncio.sleep(0.2)
    finally:
        await executor.aclose()
        await lock.aclose()

    used, refused = _requests(cluster, place.namespace)
    assert refused == set()
    assert used == role()


def _requests(cluster: Cluster, namespace: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What the namespace's scaler asked of the API server, and what of that was refused."""
    used, refused = set(), set()
    for line in (cluster.folder / "requests.log").read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == f"system:serviceaccount:{namespace}:scaler" and "objectRef" in event:
            about = event["objectRef"]
            what = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            used.add((event["verb"], what))
            if event.get("responseStatus", {}).get("code") == httpx.codes.FORBIDDEN:
                refused.add((event["verb"], what))
    return used, refused
