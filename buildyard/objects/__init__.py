"""Object stores behind one port: a folder for a laptop, S3 for a farm. The URL chooses."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from buildyard.errors import InvalidSettings
from buildyard.objects.store import FolderObjects, MemoryObjects, S3Objects
from buildyard.ports import ObjectStore

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OF_A_CLUSTER = (".svc", ".svc.cluster.local")


def open_objects(url: str) -> ObjectStore:
    """Open the object store of a URL.

    `file:///FOLDER` (made where it is missing), `s3://BUCKET/PREFIX?endpoint=URL&region=NAME` (both optional;
    credentials come from the usual `AWS_*` variables; an `http:` endpoint only on this machine or at a service of the
    same cluster: a name without a dot, or below `.svc`), or `memory:`.

    Raises:
        InvalidSettings: the URL names no store we have, or is incomplete.
        ObjectsUnavailable: the folder cannot be made.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "file":
        return _open_folder(url)
    if scheme == "s3":
        return _open_s3(url)
    if url.rstrip("/") == "memory:":
        return MemoryObjects()
    raise InvalidSettings(
        f"The object store's URL begins with {scheme[:20]!r}, which is no store Buildyard has.",
        remedy="Use file:///FOLDER or s3://BUCKET/PREFIX.",
    )


def _open_folder(url: str) -> ObjectStore:
    path = url[len("file:") :]
    if not path.startswith("///") or not path.strip("/"):
        raise InvalidSettings("The object store's URL names no absolute folder.", remedy="Write file:///FOLDER.")
    return FolderObjects(Path(path[2:]))


def _open_s3(url: str) -> ObjectStore:
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        endpoint = urlsplit(options.get("endpoint", ""))
    except ValueError as error:
        raise InvalidSettings(f"The object store's URL cannot be read: {error}.") from error
    unknown = sorted(options.keys() - {"endpoint", "region"})
    if unknown or not parts.netloc:
        what = f"has the unknown option {unknown[0]!r}" if unknown else "names no bucket"
        raise InvalidSettings(
            f"The object store's URL {what}.", remedy="Write s3://BUCKET/PREFIX?endpoint=URL&region=NAME."
        )
    plain = endpoint.scheme == "http" and _near(endpoint.hostname or "")
    if options.get("endpoint") and endpoint.scheme != "https" and not plain:
        raise InvalidSettings(
            "The S3 endpoint must be an https: URL.",
            remedy="http: is allowed on this machine, and for a service of the same cluster such as http://objects:8333.",
        )
    return S3Objects(
        parts.netloc, parts.path.strip("/"), endpoint=options.get("endpoint", ""), region=options.get("region", "")
    )


def _near(host: str) -> bool:
    """Whether only this machine, or a network of containers with names of its own, answers to this name."""
    return host in _LOOPBACK or host.endswith(_OF_A_CLUSTER) or bool(re.fullmatch("[a-z][a-z0-9-]*", host))
