"""The scaler's account in a namespace: the rights that the manifests give it, and a kubeconfig as its holder."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.cluster.objects import Place, until
from tests.cluster.running import Cluster

RIGHTS = Path(__file__).parents[2] / "k8s" / "base" / "rbac.yaml"


def role() -> set[tuple[str, str]]:
    """(verb, resource) of every rule of the manifest."""
    (found,) = (made for made in yaml.safe_load_all(RIGHTS.read_text()) if made["kind"] == "Role")
    return {(verb, what) for rule in found["rules"] for verb in rule["verbs"] for what in rule["resources"]}


def make_account(place: Place, without: tuple[str, str] | None = None) -> None:
    """Make the account `scaler` with its role and binding as the manifests have them, all but one right of the role."""
    api, namespace = place.api, place.namespace
    until(lambda: api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success)
    place.make("serviceaccounts", {"metadata": {"name": "scaler"}})
    for made in yaml.safe_load_all(RIGHTS.read_text()):
        if made["kind"] in {"Role", "RoleBinding"}:
            for subject in made.get("subjects", ()):
                subject["namespace"] = namespace
            for rule in made.get("rules", ()):
                rule["verbs"] = [verb for verb in rule["verbs"] if (verb, rule["resources"][0]) != without]
            if "rules" in made:
                made["rules"] = [rule for rule in made["rules"] if rule["verbs"]]  # one without a verb is none
            kind = made["kind"].lower() + "s"
            answer = api.post(f"/apis/{made['apiVersion']}/namespaces/{namespace}/{kind}", json=made)
            assert answer.is_success, answer.text


def token(place: Place, seconds: int = 3600, account: str = "scaler") -> str:
    """A token of the account, as its pods get one."""
    path = f"/api/v1/namespaces/{place.namespace}/serviceaccounts/{account}/token"
    return str(place.api.post(path, json={"spec": {"expirationSeconds": seconds}}).json()["status"]["token"])


def kubeconfig(cluster: Cluster, bearer: str) -> str:
    """The administrator's kubeconfig with another user."""
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"] = [{"name": one["name"], "user": {"token": bearer}} for one in content["users"]]
    return json.dumps(content)
