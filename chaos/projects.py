"""What is built: projects whose every side effect is one line of a ledger that the farm knows nothing of.

A line is `<order> <job>/<attempt> <what>`, appended by one write; the attempt comes from the variable that a worker
gives each process it starts.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

from chaos.plan import Order, Work

ROWS = 30
PROGRAM_ROWS = 12
LOG_LINES = 5
TIMEOUT_MINUTES = 0.05
_ROW_SECONDS = 0.12

EXPECTED: Mapping[Work, tuple[str, str]] = {
    Work.QUICK: ("Succeeded", "succeeded"),
    Work.SLOW: ("Succeeded", "succeeded"),
    Work.FAILING: ("Failed", "command_failed"),
    Work.HANGING: ("TimedOut", "timed_out"),
    Work.GIT: ("Succeeded", "succeeded"),
    Work.ROWS: ("Succeeded", "succeeded"),
    Work.PROGRAM: ("Succeeded", "succeeded"),
    Work.POISON: ("Failed", "worker_lost"),
    Work.MESSAGES: ("Succeeded", "succeeded"),
}
"""How each kind has to end (status, reason code) unless it is cancelled."""

_KILL_THE_WORKER = """
process=$$
while test "$process" -gt 1; do
    if tr '\\0' ' ' < "/proc/$process/cmdline" | grep -q -e '-m worker'; then
        kill -9 "$process"
        sleep 60
    fi
    process=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$process/status")
done
exit 1
"""
"""Whoever builds it dies of it, each time; in the end somebody sweeps up what is left of the build itself."""

_HANDLER = """
import json, os, sys, time
for line in sys.stdin:
    row = json.loads(line)["row"]
    ledger = os.open({ledger!r}, os.O_WRONLY | os.O_APPEND)
    os.write(ledger, f"{order} {{os.environ['BUILDYARD_ATTEMPT']}} row-{{row}}\\n".encode())
    os.close(ledger)
    time.sleep({seconds})
    print(json.dumps({{"row": row, "by": os.environ["BUILDYARD_ATTEMPT"]}}), flush=True)
"""


def upload_of(order: Order, ledger: Path) -> tuple[str, bytes, dict[str, str]]:
    """File name, content and form fields of an order's upload; orders of GIT have none."""
    named = {"projectName": f"order-{order.number}"}
    if order.work is Work.ROWS:
        lines = ["id,work_ms", *(f"{row},60" for row in range(1, ROWS + 1))]
        return "data.csv", ("\n".join(lines) + "\n").encode(), {**named, "rowsPerJob": "10"}
    if order.work is Work.MESSAGES:
        lines = ["id,work_ms", *(f"{row},20" for row in range(1, order.rows + 1))]
        return "data.csv", ("\n".join(lines) + "\n").encode(), {**named, "rowsPerJob": "1"}
    if order.work is Work.PROGRAM:
        handler = _HANDLER.format(ledger=str(ledger), order=order.number, seconds=_ROW_SECONDS)
        files = {
            "buildyard.toml": '[batch]\nrows = "rows.csv"\nrun = ["python", "handler.py"]\n',
            "rows.csv": "n\n" + "\n".join(str(row) for row in range(1, PROGRAM_ROWS + 1)) + "\n",
            "handler.py": handler,
        }
        return "batch.zip", _zipped(files), {**named, "rowsPerJob": str(PROGRAM_ROWS // 2)}
    poison = {"kill.sh": _KILL_THE_WORKER} if order.work is Work.POISON else {}
    content = _zipped({"Makefile": makefile(order, ledger), **poison})
    if order.work is Work.HANGING:
        return "project.zip", content, {**named, "timeoutMinutes": str(TIMEOUT_MINUTES)}
    return "project.zip", content, named


def makefile(order: Order, ledger: Path) -> str:
    """The Makefile of an order: it counts its start and end, logs a few lines and leaves an artifact."""
    count = f"echo {order.number} $$BUILDYARD_ATTEMPT"
    into = f">> {shlex.quote(str(ledger))}"
    middle = {
        Work.SLOW: f"sleep {2 + order.number % 4}",
        Work.FAILING: "false",
        Work.HANGING: "setsid sleep 600 & sleep 600",
        Work.POISON: "sh kill.sh",
    }.get(order.work, "true")
    recipe = [
        f"{count} start {into}",
        f"for line in $$(seq {LOG_LINES}); do echo line $$BUILDYARD_ATTEMPT $$line; done",
        middle,
        "mkdir -p dist; echo $$BUILDYARD_ATTEMPT > dist/made.txt",
        f"{count} end {into}",
    ]
    return "all:\n" + "".join(f"\t@{step}\n" for step in recipe)


def repository(folder: Path, order: Order, ledger: Path) -> Path:
    """A git repository with an order's project, made below `folder`."""
    root = folder / f"order-{order.number}"
    root.mkdir(parents=True)
    (root / "Makefile").write_text(makefile(order, ledger))
    identity = {"GIT_CONFIG_GLOBAL": os.devnull}
    for role in ("AUTHOR", "COMMITTER"):
        identity |= {f"GIT_{role}_NAME": "chaos", f"GIT_{role}_EMAIL": "chaos@example.org"}
    for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-qm", "Build")):
        subprocess.run(["git", *words], cwd=root, env={**os.environ, **identity}, check=True, capture_output=True)
    return root


def _zipped(files: Mapping[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()
