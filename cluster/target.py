"""Which cluster is meant, and what is missing before anything may be changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.programs import INSTALL, Kubectl, Missing, ProgramFailed, has, run

Kind = Literal["minikube", "kind", "other"]
ROOT = Path(__file__).resolve().parent.parent
OVERLAYS = ("minikube", "production", "keda", "hpa")
KIND_CLUSTER = "buildyard"
_RIGHTS = (
    "namespaces",
    "priorityclasses.scheduling.k8s.io",
    "deployments.apps",
    "secrets",
    "roles.rbac.authorization.k8s.io",
)
_KEDA = "scaledjobs.keda.sh"


@dataclass(frozen=True)
class Target:
    """A cluster: its context, what it is, and which overlay belongs on it."""

    context: str
    kind: Kind
    overlay: str
    root: Path
    """The checkout whose manifests are applied."""

    @property
    def folder(self) -> Path:
        """Where the overlay is."""
        return self.root / "k8s" / "overlays" / self.overlay

    @property
    def passwords(self) -> Path:
        """Where the farm's passwords are, made once and never committed."""
        return self.root / "k8s" / "base" / "secrets"

    @property
    def kubectl(self) -> Kubectl:
        """The way to it."""
        return Kubectl(self.context)


def choose(
    context: str, overlay: str, installed: Callable[[str], bool], contexts: Sequence[str], *, overlay_needed: bool
) -> Target:
    """The cluster that is meant: `context`, or else Minikube, or else kind, whichever is installed.

    Never the current context by itself: that may be anybody's production.

    Raises:
        Missing: nothing says which one, or it is not known here.
    """
    known = f" Known here: {', '.join(contexts)}." if contexts else ""
    if not context:
        if installed("minikube"):
            context = "minikube"
        elif installed("kind"):
            context = f"kind-{KIND_CLUSTER}"
        else:
            raise Missing(
                f"Neither minikube nor kind is installed, and no --context says which cluster is meant.{known}",
                remedy=f"{INSTALL['minikube']} Or name a cluster: --context NAME.",
            )
    kind: Kind = "minikube" if context == "minikube" else "kind" if context.startswith("kind-") else "other"
    if kind == "other" and context not in contexts:
        raise Missing(
            f"kubectl knows no context {context!r}.{known or ' It knows none at all.'}",
            remedy="`kubectl config get-contexts` lists them; KUBECONFIG names their file.",
        )
    if not overlay and kind == "other" and overlay_needed:
        raise Missing(
            f"{context} is neither Minikube nor kind, so what belongs on it has to be said.",
            remedy="Add --overlay production (or keda, hpa, minikube); docs/kubernetes.md tells what each is.",
        )
    return Target(context, kind, overlay or "minikube", ROOT)


def known_contexts() -> tuple[str, ...]:
    """The contexts of the kubeconfig. Raises Missing: no kubectl, or a kubeconfig that cannot be read."""
    try:
        return tuple(run(["kubectl", "config", "get-contexts", "--output=name"]).split())
    except ProgramFailed as error:
        raise Missing(str(error), remedy="Correct the kubeconfig (KUBECONFIG, or ~/.kube/config).") from error


def check_programs(target: Target, *, images: bool) -> None:
    """Whether the programs that `up` needs are here. Raises Missing, naming all that are not."""
    needed = ["kubectl"]
    if target.kind != "other":
        needed.append(target.kind)
        if images or target.kind == "kind":
            needed.append("docker")
    missing = [name for name in needed if not has(name)]
    if missing:
        raise Missing(
            f"Not on PATH: {', '.join(missing)}.", remedy=" ".join(f"{name}: {INSTALL[name]}" for name in missing)
        )


def check_answers(target: Target) -> None:
    """Whether the cluster answers and lets us do what `up` does. Raises Missing."""
    kubectl = target.kubectl
    try:
        kubectl.ask("get", "--raw=/apis")  # for whoever is logged in, and for nobody else
    except ProgramFailed as error:
        raise Missing(
            f"The cluster of the context {target.context} cannot be used: {error}", remedy=_start_hint(target)
        ) from error
    refused = [what for what in _RIGHTS if not _may_create(kubectl, what)]
    if refused:
        raise Missing(
            f"You may not create {', '.join(refused)} on {target.context}.",
            remedy="Ask its administrator for these rights, or use another context.",
        )
    if target.overlay == "keda" and _KEDA not in kubectl.ask("api-resources", "--api-group=keda.sh", "--output=name"):
        raise Missing(
            f"{target.context} does not know {_KEDA}: KEDA is not installed there.",
            remedy="Install KEDA 2.16 or newer, or take another overlay.",
        )


def is_up(target: Target) -> bool:
    """Whether a Minikube or kind cluster runs. Raises Missing."""
    if target.kind == "minikube":
        try:
            status = json.loads(run(["minikube", "status", "--output=json"]))
        except (ProgramFailed, ValueError):
            return False
        return isinstance(status, dict) and status.get("APIServer") == "Running"
    if target.kind == "kind":
        return target.context.removeprefix("kind-") in run(["kind", "get", "clusters"]).split()
    return True


def _may_create(kubectl: Kubectl, what: str) -> bool:
    try:
        return kubectl.ask("auth", "can-i", "create", what).strip() == "yes"
    except ProgramFailed:
        return False  # `no` ends with 1


def _start_hint(target: Target) -> str:
    if target.kind == "other":
        return "Is it running, and is the login in the kubeconfig still valid?"
    return "`./manage.sh up` starts it." if target.kind == "minikube" else "`./manage.sh up` makes it."
