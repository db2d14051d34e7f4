"""Every object of every overlay is taken by a real API server, and none asks for more than it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from buildyard.pools_file import read_pools_file
from tests.cluster.building import programs, sources
from tests.cluster.objects import until
from tests.cluster.running import Cluster

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("minikube", "production", "keda", "hpa")
KEDA = ("github.com/kedacore/keda/v2", "v2.20.2", "h1:SR60v8uIcelbveS8n/1jcl8tLdBBIbHMxmdOHw8tKqA=")
TEMPLATES = {
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "ScaledJob": ("spec", "jobTargetRef", "template", "spec"),
}
_KINDS = ("scaledjobs", "triggerauthentications")
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Object = dict[str, Any]


@pytest.fixture(scope="module")
def overlays(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Object]]:
    """The objects of each overlay, as kustomize makes them from a copy with passwords of its own."""
    copy = tmp_path_factory.mktemp("manifests") / "k8s"
    shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns("secrets", "secrets.part"))
    subprocess.run([copy / "make-secrets"], check=True, timeout=60)
    outside = [f"../../components/external-{name}" for name in ("postgres", "rabbitmq", "objects")]
    (copy / "overlays" / "outside").mkdir()
    told = {"kind": "Kustomization", "resources": ["../minikube"], "components": outside}
    (copy / "overlays" / "outside" / "kustomization.yaml").write_text(yaml.safe_dump(told))
    return {name: _built(copy / "overlays" / name) for name in (*OVERLAYS, "outside")}


def _built(overlay: Path) -> list[Object]:
    done = subprocess.run(
        [programs() / "kustomize", "build", overlay], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return [made for made in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if made]


@pytest.fixture(scope="module")
def farm(cluster: Cluster) -> Iterator[tuple[httpx.Client, str]]:
    """A client and a namespace that holds pods to the profile `restricted`, in a cluster that knows KEDA's kinds."""
    with cluster.namespace() as namespace, cluster.client() as api:
        labels = {"pod-security.kubernetes.io/warn": "restricted"}
        _patch(api, f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})
        made = _define_kinds_of_keda(api)
        yield api, namespace
        for path in made:
            api.delete(path).raise_for_status()


def _define_kinds_of_keda(api: httpx.Client) -> list[str]:
    """Make the kinds that the cluster does not know yet; their paths."""
    definitions, made = sources(*KEDA) / "config" / "crd" / "bases", []
    for kind in _KINDS:
        definition = yaml.load((definitions / f"keda.sh_{kind}.yaml").read_text(), Loader=yaml.CSafeLoader)
        answer = api.post(_DEFINITIONS, json=definition)
        if answer.status_code != httpx.codes.CONFLICT:
            answer.raise_for_status()
            made.append(f"{_DEFINITIONS}/{kind}.keda.sh")
    served = ("", *(f"/{kind}" for kind in _KINDS))
    until(lambda: all(api.get(f"/apis/keda.sh/v1alpha1{path}").is_success for path in served))
    return made


def _patch(api: httpx.Client, path: str, body: Object) -> None:
    headers = {"content-type": "application/merge-patch+json"}
    api.patch(path, content=json.dumps(body), headers=headers).raise_for_status()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_real_api_server_takes_every_object_of_an_overlay(
    overlay: str, overlays: dict[str, list[Object]], farm: tuple[httpx.Client, str]
) -> None:
    api, namespace = farm
    kinds = _kinds(api)
    complaints = []
    for made in overlays[overlay]:
        plural, namespaced = kinds[made["apiVersion"], made["kind"]]
        assert not namespaced or made["metadata"]["namespace"] == "buildyard", made
        text = json.dumps(made).replace('"namespace": "buildyard"', f'"namespace": "{namespace}"')
        group = "api/v1" if made["apiVersion"] == "v1" else f"apis/{made['apiVersion']}"
        place = f"namespaces/{namespace}/{plural}" if namespaced else plural
        answer = api.patch(
            f"/{group}/{place}/{made['metadata']['name']}",
            params={"dryRun": "All", "fieldManager": "tests", "fieldValidation": "Strict", "force": "true"},
            content=text,
            headers={"content-type": "application/apply-patch+yaml"},
        )
        said = answer.headers.get("warning", "") if answer.is_success else answer.text
        complaints += [f"{made['kind']} {made['metadata']['name']}: {said}"] if said else []
    assert complaints == [], "warnings tell of pods outside the profile `restricted` and of outdated kinds"


def _kinds(api: httpx.Client) -> dict[tuple[str, str], tuple[str, bool]]:
    """(apiVersion, kind) -> (the word in paths, whether it is in a namespace), as the API server tells them."""
    groups = api.get("/apis").raise_for_status().json()["groups"]
    versions = ["v1", *(one["groupVersion"] for group in groups for one in group["versions"])]
    found = {}
    for version in versions:
        path = "/api/v1" if version == "v1" else f"/apis/{version}"
        for resource in api.get(path).raise_for_status().json()["resources"]:
            if "/" not in resource["name"]:
                found[version, resource["kind"]] = (resource["name"], resource["namespaced"])
    return found


# ---------------------------------------------------------------- what no API server asks for
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_have_no_rights_and_no_room_that_they_do_not_need(overlay: str, overlays: dict[str, list[Object]]) -> None:
    for name, spec in _pods(overlays[overlay]):
        tokens = name == "scaler" and overlay in {"minikube", "production"}
        assert spec["automountServiceAccountToken"] is tokens, f"{name} has a token of the API server"
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert not any("hostPath" in volume for volume in spec.get("volumes", ())), name
        assert all("sizeLimit" in one["emptyDir"] for one in spec.get("volumes", ()) if "emptyDir" in one), name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys(), name
            assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys(), name
            locked = container["securityContext"]
            assert locked["capabilities"] == {"drop": ["ALL"]}, name
            assert locked.get("readOnlyRootFilesystem") is (True if name != "rabbitmq" else None), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_server_is_probed_and_every_policy_and_budget_selects_a_pod_that_there_is(
    overlay: str, overlays: dict[str, list[Object]]
) -> None:
    for name, spec in _pods(overlays[overlay]):
        if not name.startswith("worker"):
            assert all({"readinessProbe", "livenessProbe"} <= one.keys() for one in spec["containers"]), name
    labels = [*_labels(overlays[overlay]), WORKER]
    selecting = [made for made in overlays[overlay] if made["kind"] in {"NetworkPolicy", "PodDisruptionBudget"}]
    for made in selecting:
        selector = made["spec"].get("podSelector", made["spec"].get("selector"))
        assert any(_selects(selector, one) for one in labels), made["metadata"]["name"]
    denying = next(made for made in selecting if made["metadata"]["name"] == "deny-all")
    assert denying["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_scalers_agree_by_the_one_lease_that_their_role_names(overlays: dict[str, list[Object]]) -> None:
    for overlay in OVERLAYS:
        (spec,) = (spec for name, spec in _pods(overlays[overlay]) if name == "scaler")
        variables = [one["name"] for one in spec["containers"][0]["env"]]
        (url,) = (one["value"] for one in spec["containers"][0]["env"] if one["name"] == "BUILDYARD_LEADER_URL")
        if "$(" in url:  # it is filled in only with what stands before it
            assert variables.index("POD_NAMESPACE") < variables.index("BUILDYARD_LEADER_URL")
        rules = [rule for made in overlays[overlay] if made["kind"] == "Role" for rule in made["rules"]]
        named = [f"lease:$(POD_NAMESPACE)/{name}" for rule in rules for name in rule.get("resourceNames", ())]
        assert [url] == (named or ["none:"])


def test_servers_outside_take_the_place_of_ours(overlays: dict[str, list[Object]]) -> None:
    left = {made["metadata"]["name"] for made in overlays["outside"] if made["kind"] in {*TEMPLATES, "Service"}}
    assert left == {"producer", "scaler", "slow-api"}


def test_the_producer_scales_between_three_and_ten_by_cpu_and_memory(overlays: dict[str, list[Object]]) -> None:
    for overlay in ("production", "keda", "hpa"):
        (scaler,) = (
            made["spec"]
            for made in overlays[overlay]
            if made["kind"] == "HorizontalPodAutoscaler" and made["metadata"]["name"] == "producer"
        )
        told = {one["resource"]["name"]: one["resource"]["target"]["averageUtilization"] for one in scaler["metrics"]}
        assert (scaler["minReplicas"], scaler["maxReplicas"], told) == (3, 10, {"cpu": 70, "memory": 80})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pools_file_of_an_overlay_can_be_read_and_names_what_there_is(
    overlay: str, overlays: dict[str, list[Object]]
) -> None:
    (text,) = (
        made["data"]["pools.toml"]
        for made in overlays[overlay]
        if made["kind"] == "ConfigMap" and made["metadata"]["name"].startswith("pools-")
    )
    (pool,) = read_pools_file(text, "pools.toml").pools
    if overlay in {"keda", "hpa"}:
        assert pool.policy.max_workers == 0
        return
    assert pool.kubernetes is not None
    named = {(made["kind"], made["metadata"]["name"]) for made in overlays[overlay]}
    assert ("Secret", pool.kubernetes.environment_secret) in named
    assert ("ServiceAccount", pool.kubernetes.service_account) in named
    assert ("PriorityClass", pool.kubernetes.priority_class) in named


WORKER = {
    "app.kubernetes.io/component": "worker",
    "app.kubernetes.io/managed-by": "buildyard",
    "buildyard.dev/farm": "buildyard",
    "buildyard.dev/protected": "true",
}
"""Labels of a worker's pod as the scaler makes it."""


def _pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for made in objects:
        if path := TEMPLATES.get(made["kind"]):
            spec = made
            for key in path:
                spec = spec[key]
            yield made["metadata"]["name"], spec


def _labels(objects: list[Object]) -> Iterator[dict[str, str]]:
    for made in objects:
        if made["kind"] in {"Deployment", "StatefulSet"}:
            yield made["spec"]["template"]["metadata"]["labels"]


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    chosen = all(labels.get(key) == value for key, value in wanted.items())
    ones = selector.get("matchExpressions", ())
    return chosen and all(one["operator"] == "In" and labels.get(one["key"]) in one["values"] for one in ones)
