"""What a process loads: memory that every worker of a farm pays for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_DRAW_ON_TERMINALS = {"rich.console", "rich.text", "pygments.lexer", "pygments.util"}
"""Not the packages themselves: a package that is not found is listed as looked for."""


@pytest.mark.parametrize(
    ("process", "ends"), [("worker", ["--help"]), ("scaler", ["--help"]), ("orchestrator", [])]
)  # the producer has no options; a wrong setting ends it
def test_no_process_loads_what_draws_on_terminals(process: str, ends: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", process, *ends],
        env={**os.environ, "BUILDYARD_BROKER_URL": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "structlog" in loaded
    assert loaded & _DRAW_ON_TERMINALS == set()
