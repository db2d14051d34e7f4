"""The farm's passwords: made once, kept in `k8s/base/secrets` for this user alone, and found again in a cluster."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster.programs import must
from cluster.seen import Object
from cluster.target import Target

SECRETS = ("producer", "scaler", "worker", "rabbitmq", "postgres", "objects")


def make_secrets(target: Target, say: Callable[[str], None]) -> None:
    """Make the files of passwords unless they are there; those of a farm that is there already come from the cluster.

    Its databases know no others: new ones would lock the farm out of its own data.
    """
    if not target.passwords.exists():
        found = of_cluster(target.kubectl.objects("secrets"))
        if set(SECRETS) <= found.keys():
            say(f"The passwords are those of the farm that is on {target.context}")
            _write(target.passwords, {name: found[name] for name in SECRETS})
    must([str(target.root / "k8s" / "make-secrets")])


def of_cluster(secrets: Sequence[Object]) -> dict[str, dict[str, str]]:
    """The newest Secret of each of our names, which end with a hash in the cluster, as key -> value."""
    found: dict[str, dict[str, str]] = {}
    for secret in sorted(secrets, key=lambda secret: str(secret["metadata"].get("creationTimestamp", ""))):
        name = str(secret["metadata"]["name"])
        plain = name if name in SECRETS else name.rpartition("-")[0]
        if plain in SECRETS and secret.get("data"):
            found[plain] = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    return found


def _write(folder: Path, values: dict[str, dict[str, str]]) -> None:
    """Write all files or none, readable for this user alone."""
    part = folder.with_name("secrets.part")
    part.mkdir(mode=0o700, exist_ok=True)
    for name, keys in values.items():
        file = part / f"{name}.env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{key}={value}\n" for key, value in sorted(keys.items())), encoding="utf-8")
    part.rename(folder)
