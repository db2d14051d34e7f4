# ruff: noqa: INP001 - a script of the images, imported by nothing
"""`python healthcheck.py http PATH | worker`: exits 0 when what runs in this container is well; for HEALTHCHECK lines.

`http` asks 127.0.0.1 at BUILDYARD_PROBE_PORT; `worker` looks whether the agent joined its pool and its process lives.
It needs nothing but Python.
"""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

_SECONDS = 3
_WELL = 200


def answers(path: str) -> bool:
    """Whether the server in this container answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BUILDYARD_PROBE_PORT"]), timeout=_SECONDS)
    try:
        connection.request("GET", path, headers=_proof())
        return connection.getresponse().status == _WELL
    finally:
        connection.close()


def _proof() -> dict[str, str]:
    """What the server asks of its callers where a token is set: readiness is not for everybody."""
    token = os.environ.get("BUILDYARD_TOKEN", "")
    return {"Authorization": f"Bearer {token}"} if token else {}


def joined() -> bool:
    """Whether an agent took its folder, which it does once it has joined, and its process runs."""
    for owner in Path(os.environ["BUILDYARD_DATA_DIR"]).glob("agents/*/owner"):
        number = owner.read_text(encoding="utf-8").rpartition(" ")[2]
        if number.isdigit() and Path("/proc", number).is_dir():
            return True
    return False


def main(words: list[str]) -> int:
    """Run the check that the words name."""
    try:
        well = answers(words[1]) if words[0] == "http" else joined()
    except (OSError, http.client.HTTPException) as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write("well\n" if well else "not well\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
