"""`python -m tests.cluster.up`: a throwaway cluster that stays until Ctrl-C or SIGTERM.

Its files are in a new folder, or in `--folder`; `admin.kubeconfig` among them is what BUILDYARD_TEST_KUBECONFIG takes.
With `--while-stdin` it ends when its standard input does: so it never outlives the tests that started it. Commands
such as `stop kube-apiserver` reach it through the socket `control` in its folder (`tests/cluster/running.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socketserver
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.building import NotBuilt
from tests.cluster.control_plane import PARTS, ControlPlane, NotStarted

READY = "ready"
_VERBS = ("start", "stop", "freeze", "thaw")


def main() -> int:
    """Run a cluster; 1 when it did not come up."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.up", description="A throwaway Kubernetes cluster.")
    parser.add_argument("--folder", type=Path, help="where its files are, empty or new; kept in the end (a new one)")
    parser.add_argument("--nodes", type=int, default=3, help="how many nodes it has (3)")
    parser.add_argument("--while-stdin", action="store_true", help="end with the standard input")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="buildyard-cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    leave = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: leave.set())
    try:
        plane = ControlPlane(folder.resolve(), given.nodes)
    except NotBuilt as error:
        print(error, file=sys.stderr)
        return 1
    try:
        plane.open()
        with _controlled(plane):
            print(f"{READY} {plane.kubeconfig}", flush=True)
            if given.while_stdin:
                threading.Thread(target=_wait_for_the_end_of_input, args=(leave,), daemon=True).start()
            leave.wait()
    except NotStarted as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        plane.close()
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _wait_for_the_end_of_input(leave: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    leave.set()


@contextlib.contextmanager
def _controlled(plane: ControlPlane) -> Iterator[None]:
    """Obey lines `VERB PART` on the socket `control`; each is answered `done` or with what was wrong."""

    class Line(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            verb, _, part = self.rfile.readline().decode().strip().partition(" ")
            if verb in _VERBS and part in PARTS:
                getattr(plane, verb)(part)
                self.wfile.write(b"done\n")
            else:
                self.wfile.write(b"write VERB PART\n")

    with socketserver.UnixStreamServer(str(plane.folder / "control"), Line) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    sys.exit(main())
