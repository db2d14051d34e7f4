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
from tests.cluster.objects import IMAGE, Place, until
from tests.cluster.running import Cluster

RIGHTS = Path(__file__).parents[2] / "k8s" / "base" / "rbac.yaml"
LEASE = "buildyard-scaler"
PATIENCE = 60.0


@pytest.fixture
def place(cluster: Cluster) -> Iterator[Place]:
    """A namespace with the scaler's account, role and binding as the manifests have them."""
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's: nobody writes down its requests")
    with cluster.namespace() as namespace, cluster.client() as api:
        until(lambda: api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
        place = Place(api, namespace)
        place.make("serviceaccounts", {"metadata": {"name": "scaler"}})
        for made in yaml.safe_load_all(RIGHTS.read_text()):
            if made["kind"] in {"Role", "RoleBinding"}:
                for subject in made.get("subjects", ()):
                    subject["namespace"] = namespace
                kind = made["kind"].lower() + "s"
                answer = api.post(f"/apis/{made['apiVersion']}/namespaces/{namespace}/{kind}", json=made)
                assert answer.is_success, answer.text
        yield place


def role() -> set[tuple[str, str]]:
    """(verb, resource) of every rule of the manifest."""
    (found,) = (made for made in yaml.safe_load_all(RIGHTS.read_text()) if made["kind"] == "Role")
    return {(verb, what) for rule in found["rules"] for verb in rule["verbs"] for what in rule["resources"]}


def token(place: Place) -> str:
    """A token of the account, as its pods get one."""
    path = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/scaler/token"
    return str(place.api.post(path, json={"spec": {"expirationSeconds": 3600}}).json()["status"]["token"])


def test_the_scaler_may_do_what_its_role_says_and_nothing_else(cluster: Cluster, place: Place) -> None:
    headers = {"authorization": f"Bearer {token(place)}"}
    with httpx.Client(base_url=place.api.base_url, verify=cluster.authority(), headers=headers, trust_env=False) as api:

        def rights(namespace: str) -> set[tuple[str, str]]:
            asked = {"spec": {"namespace": namespace}}
            path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
            rules: list[dict[str, Any]] = (
                api.post(path, json=asked).raise_for_status().json()["status"]["resourceRules"]
            )
            return {(verb, what) for rule in rules for verb in rule["verbs"] for what in rule["resources"]}

        elsewhere = rights("default")
        assert rights(place.namespace) - elsewhere == role()
        assert all(what.startswith("selfsubject") for _, what in elsewhere), "as everybody who is somebody"
        assert api.get(f"/api/v1/namespaces/{place.namespace}/secrets").status_code == httpx.codes.FORBIDDEN
        assert api.get("/api/v1/nodes").status_code == httpx.codes.FORBIDDEN


async def test_starting_and_watching_workers_and_leading_uses_every_rule_and_is_refused_nothing(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(_kubeconfig(cluster, token(place)))
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


def _kubeconfig(cluster: Cluster, bearer: str) -> str:
    """The administrator's kubeconfig with another user."""
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"] = [{"name": one["name"], "user": {"token": bearer}} for one in content["users"]]
    return json.dumps(content)


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
