"""`images`: build the farm's images and load them into a local cluster, which needs no registry then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import buildyard
from cluster.programs import must, run
from cluster.target import Target

IMAGES = ("producer", "scaler", "worker", "slow-api")
"""What a farm needs; `worker-dotnet` is built when it is asked for."""
ALL_IMAGES = (*IMAGES, "worker-dotnet")


def tag(name: str) -> str:
    """The image's name as the manifests have it."""
    return f"buildyard/{name}:{buildyard.__version__}"


def loaded(target: Target) -> frozenset[str]:
    """Which images a local cluster has. Raises ProgramFailed."""
    if target.kind == "minikube":
        listed = run(["minikube", "image", "ls"])
    else:
        node = f"{target.context.removeprefix('kind-')}-control-plane"
        listed = run(["docker", "exec", node, "crictl", "images", "--output=json"])
    return frozenset(name for name in ALL_IMAGES if tag(name) in listed or _apart(name, listed))


def _apart(name: str, listed: str) -> bool:
    """Whether a table that writes name and tag in two columns has the image."""
    return any(f"buildyard/{name}" in line and buildyard.__version__ in line.split() for line in listed.splitlines())


def build_and_load(target: Target, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Build images with Docker and load them into Minikube or kind. Raises ProgramFailed."""
    for name in names:
        say(f"Building {tag(name)}")
        words = ["docker", "build", "--quiet", "--target", name, "--tag", tag(name), str(target.root)]
        must(words, variables={"DOCKER_BUILDKIT": "1"})  # engines before 23 build the old way unless they are told
        if target.kind == "minikube":
            must(["minikube", "image", "load", tag(name)])
        elif target.kind == "kind":
            must(["kind", "load", "docker-image", tag(name), "--name", target.context.removeprefix("kind-")])
    if target.kind == "other":
        say(f"Push them to a registry that {target.context} pulls from, and name it in the overlay's `images`.")
