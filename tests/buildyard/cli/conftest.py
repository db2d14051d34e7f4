from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buildyard.cli.fake_server import FakeServer
from tests.buildyard.cli.run import Shell

_PART = """
import os, signal, subprocess, sys, time
name = {name!r}
here = os.environ["BUILDYARD_DATA_DIR"]
def note(what):
    with open(os.path.join(here, "notes"), "a") as notes:
        notes.write(name + " " + what + "\\n")
mode = os.environ.get("PRETEND_" + name.upper(), "")
print("log of " + name, file=sys.stderr, flush=True)
if mode == "broken":
    print("no such database", file=sys.stderr)
    sys.exit(7)
if mode == "silent":
    time.sleep(60)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    def stop(*_):
        note("stopped")
        sys.exit(0)
    signal.signal(signal.SIGTERM, stop)
if mode == "worker":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
note("started " + " ".join(sys.argv[1:]))
print("ready http://127.0.0.1:" + os.environ["BUILDYARD_PORT"], flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, str]:
    """Variables under which the farm's parts are pretenders, steered by PRETEND_PRODUCER and PRETEND_SCALER."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "orchestrator.py").write_text(_PART.format(name="producer"))
    (modules / "scaler.py").write_text(_PART.format(name="scaler"))
    return {"PYTHONPATH": str(modules)}


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


@pytest.fixture
def shell(server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("BUILDYARD_API_URL", "BUILDYARD_SCALER_URL", "BUILDYARD_TOKEN", "BUILDYARD_HOST", "PORT"):
        monkeypatch.delenv(name, raising=False)
    return Shell(server, capsys)
