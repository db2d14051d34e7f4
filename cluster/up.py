"""`up`: look at everything first, then make what is missing, apply, and wait with progress until all is ready."""

from __future__ import annotations

import time
from collections.abc import Callable

import buildyard
from cluster.images import IMAGES, build_and_load, loaded
from cluster.passwords import make_secrets
from cluster.programs import ProgramFailed, must, run
from cluster.seen import Part, parts_of, progress, troubles_of
from cluster.target import Target, check_answers, check_programs, is_up

_LOOK_SECONDS = 2.0
_MANAGER = "buildyard"
_APPLY_SECONDS = 60

Say = Callable[[str], None]


def up(target: Target, *, seconds: float, images: bool, say: Say) -> None:
    """Bring a farm up, or bring one that is up to what the files say now; it may be repeated at any time.

    Raises:
        Missing: something is missing; nothing was changed.
        ProgramFailed: a step failed, or not all was ready in time; the sentence says what waits for what.
    """
    check_programs(target, images=images)
    if not is_up(target):
        _start(target, say)
    check_answers(target)
    make_secrets(target, say)
    run(["kubectl", "kustomize", str(target.folder)])  # a mistake in a file is told before anything is built
    if images and target.kind != "other" and (absent := [name for name in IMAGES if name not in loaded(target)]):
        say(f"Images to build: {', '.join(absent)}")
        build_and_load(target, absent, say)
    say(f"Applying k8s/overlays/{target.overlay} to {target.context}")
    _apply(target)
    _wait(target, seconds, say)
    say(f"Buildyard {buildyard.__version__} is ready on {target.context}. Next: ./manage.sh forward")


def _start(target: Target, say: Say) -> None:
    say(f"Starting {target.kind} (a minute or two)")
    if target.kind == "minikube":
        must([str(target.root / "minikube" / "start.sh")])
    else:
        must(["kind", "create", "cluster", "--name", target.context.removeprefix("kind-")])


def _apply(target: Target) -> None:
    """Apply the overlay; once the namespace is there, only after the server took all of it in a dry run."""
    words = ["apply", "--server-side", f"--field-manager={_MANAGER}", "--kustomize", str(target.folder)]
    kubectl = target.kubectl
    try:
        kubectl.ask("get", "namespace", kubectl.namespace)
    except ProgramFailed:
        kubectl.ask(
            "apply",
            "--server-side",
            f"--field-manager={_MANAGER}",
            "--filename",
            str(target.root / "k8s/base/namespace.yaml"),
        )
    kubectl.ask(*words, "--dry-run=server", seconds=_APPLY_SECONDS)
    kubectl.ask(*words, seconds=_APPLY_SECONDS)


def _wait(target: Target, seconds: float, say: Say) -> None:
    """Print what becomes ready until all is. Raises ProgramFailed when it takes too long, with what is in the way."""
    deadline = time.monotonic() + seconds
    parts: tuple[Part, ...] = ()
    troubles: tuple[str, ...] = ()
    while True:
        now = parts_of(target.kubectl.objects("deployments,statefulsets"))
        for line in progress(parts, now):
            say(f"  {line}")
        parts = now
        if parts and all(part.well for part in parts):
            return
        seen = troubles_of(target.kubectl.objects("pods"))
        for trouble in seen:
            if trouble not in troubles:
                say(f"  ! {trouble}")
        troubles = seen
        if time.monotonic() >= deadline:
            waiting = ", ".join(str(part) for part in parts if not part.well) or "nothing was made"
            raise ProgramFailed(
                f"Not all was ready within {seconds:g} s: {waiting}. {' '.join(troubles)}".strip(),
                remedy="Correct that and run ./manage.sh up again; it goes on where it was.",
            )
        time.sleep(_LOOK_SECONDS)
