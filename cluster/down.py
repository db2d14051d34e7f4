"""`down`: take a farm away, and its data only when that is wanted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from buildyard.errors import Conflict
from cluster.seen import Object, workers_of
from cluster.target import Target, check_answers

_KEPT = (
    "persistentvolumeclaims",
    "secrets",
    "pods",
    "events",
    "events.events.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
)
"""Data with the passwords that open them, and what goes with its owner."""
_CLUSTER_WIDE = "priorityclasses.scheduling.k8s.io"
_PART = "app.kubernetes.io/part-of=buildyard"
_WAIT = "--timeout=300s"

Ask = Callable[[str], bool]


def down(target: Target, *, data: bool | None, yes: bool, ask: Ask | None, say: Callable[[str], None]) -> None:
    """Take all of a farm away.

    Args:
        target: where it is.
        data: whether its data go, too; None: ask.
        yes: take it away without asking, also when workers run.
        ask: puts a question to the user; None: there is nobody to ask.
        say: tells what is done.

    Raises:
        Missing: the cluster cannot be used; nothing was changed.
        Conflict: a question was answered with no, or there is nobody to answer it; nothing was changed.
        ProgramFailed: a step failed.
    """
    check_answers(target)
    kubectl = target.kubectl
    if not _exists(target):
        say(f"There is no farm on {target.context}.")
        return
    workers = workers_of(kubectl.objects("pods"))
    claims = kubectl.objects("persistentvolumeclaims")
    if not yes:
        lost = (
            f" {workers.running} workers run: their builds start again when the farm is back."
            if workers.running
            else ""
        )
        _agree(ask, f"Take the farm on {target.context} away?{lost}", "--yes")
    if claims and data is None:
        if ask is None:
            raise Conflict("Nobody can be asked whether the data go, too.", remedy="Add --delete-data or --keep-data.")
        data = ask(f"Delete its data, too ({_names(claims)})? They cannot be brought back.")
    if claims and not data:
        _delete_all_but_data(target, say)
        say(f"The data stay: {_names(claims)}. ./manage.sh up finds them again.")
        return
    say(f"Deleting the namespace {kubectl.namespace}")
    _change(target, "delete", "namespace", kubectl.namespace)
    _delete_cluster_wide(target)
    shutil.rmtree(target.passwords, ignore_errors=True)
    say(f"Nothing of the farm is left on {target.context}.")


def _change(target: Target, *words: str) -> None:
    """A change that may take its time. Raises ProgramFailed."""
    target.kubectl.ask(*words, _WAIT, seconds=0)


def _exists(target: Target) -> bool:
    found = target.kubectl.ask("get", "namespace", target.kubectl.namespace, "--ignore-not-found", "--output=name")
    return bool(found.strip())


def _delete_all_but_data(target: Target, say: Callable[[str], None]) -> None:
    kinds = target.kubectl.ask("api-resources", "--namespaced", "--verbs=list,delete", "--output=name").split()
    ours = [kind for kind in kinds if kind not in _KEPT]
    say("Deleting all but the data")
    _change(target, "delete", ",".join(ours), f"--selector={_PART}", "--ignore-not-found")
    _change(target, "delete", "jobs", "--all", "--ignore-not-found")
    _delete_cluster_wide(target)


def _delete_cluster_wide(target: Target) -> None:
    _change(target, "delete", _CLUSTER_WIDE, f"--selector={_PART}", "--ignore-not-found")


def _agree(ask: Ask | None, question: str, flag: str) -> None:
    if ask is None:
        raise Conflict(f"Nobody can be asked: {question}", remedy=f"Add {flag} to go on without a question.")
    if not ask(question):
        raise Conflict("Nothing was changed.")


def _names(claims: Sequence[Object]) -> str:
    return ", ".join(claim["metadata"]["name"] for claim in claims)
