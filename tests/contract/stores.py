"""The S3 server of the object store's tests: moto, in this process, on loopback."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import httpx
from moto.server import ThreadedMotoServer


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of a server that speaks like S3."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> str:
    """Make a bucket."""
    name = f"test-{secrets.token_hex(4)}"
    httpx.put(f"{endpoint}/{name}", trust_env=False, timeout=60).raise_for_status()
    return name


def unfinished_uploads(endpoint: str, bucket: str) -> int:
    """How many multipart uploads were begun and neither finished nor aborted."""
    answer = httpx.get(f"{endpoint}/{bucket}", params={"uploads": ""}, trust_env=False, timeout=60).raise_for_status()
    return answer.text.count("<UploadId>")
