"""The farm's passwords: made once, kept in `k8s/base/secrets` for this user alone, and found again in a cluster."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from buildyard.errors import Conflict
from cluster.programs import must
from cluster.seen import Object
from cluster.target import Target

SECRETS = ("producer", "scaler", "worker", "rabbitmq", "postgres", "objects")
_OURS = re.compile(rf"({'|'.join(SECRETS)})(-[a-z0-9]{{10}})?")
"""As kustomize names them in a cluster: with a hash of what they hold."""
_OF_DATA = ("RABBITMQ_DEFAULT_PASS", "POSTGRES_PASSWORD", "ROOT_SECRET_ACCESS_KEY")
"""What servers take over at their first start only, and keep with their data."""


def make_secrets(target: Target, say: Callable[[str], None]) -> None:
    """Make the files of passwords unless they are there; those of a farm that is there already come from the cluster.

    Its databases know no others: new ones would lock the farm out of its own data.

    Raises:
        Conflict: the files are of another farm than the one that is there; nothing was changed.
    """
    found = of_cluster(target.kubectl.objects("secrets"))
    if not target.passwords.exists():
        if set(SECRETS) <= found.keys():
            say(f"The passwords are those of the farm that is on {target.context}")
            _write(target.passwords, {name: found[name] for name in SECRETS})
    elif differing := _differing(target.passwords, found):
        raise Conflict(
            f"The passwords in {target.passwords} are of another farm than the one on {target.context}: "
            f"{', '.join(differing)} differ.",
            remedy="Move that folder away: ./manage.sh up then takes over those of the farm that is there.",
        )
    must([str(target.root / "k8s" / "make-secrets")])


def of_cluster(secrets: Sequence[Object]) -> dict[str, dict[str, str]]:
    """The newest Secret of each of our names, which end with a hash in the cluster, as key -> value."""
    found: dict[str, dict[str, str]] = {}
    for secret in sorted(secrets, key=lambda secret: str(secret["metadata"].get("creationTimestamp", ""))):
        name = str(secret["metadata"]["name"])
        ours = _OURS.fullmatch(name)
        if ours and secret.get("data") and secret.get("type", "Opaque") == "Opaque":
            found[ours[1]] = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    return found


def _differing(folder: Path, found: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The passwords of data that a cluster holds, and our files hold with another value."""
    lines = [line for file in sorted(folder.glob("*.env")) for line in file.read_text(encoding="utf-8").splitlines()]
    kept = {key: value for key, _, value in (line.partition("=") for line in lines)}
    there = {key: value for values in found.values() for key, value in values.items() if key in _OF_DATA}
    return sorted(key for key, value in there.items() if key in kept and kept[key] != value)


def _write(folder: Path, values: dict[str, dict[str, str]]) -> None:
    """Write all files or none, readable for this user alone."""
    part = folder.with_name("secrets.part")
    part.mkdir(mode=0o700, exist_ok=True)
    for name, keys in values.items():
        file = part / f"{name}.env"
        file.touch(mode=0o600)
        file.write_text("".join(f"{key}={value}\n" for key, value in sorted(keys.items())), encoding="utf-8")
    part.rename(folder)
