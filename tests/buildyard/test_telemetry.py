"""Every line on standard error has one shape, whoever wrote it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from python_multipart import MultipartParser
from buildyard.telemetry import configure_logging, logger
configure_logging(sys.argv[2], sys.argv[1], "producer")
configure_logging(sys.argv[2], sys.argv[1], "producer")
logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
logging.getLogger("uvicorn.error").info("not worth a line")
parser = MultipartParser(b"x", {})
try:
    parser.write(b"nonsense")
except Exception:
    pass
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("asyncio").exception("a callback failed with %s", "this")
logger("own").warning("ours")
"""


def lines_of(form: str, level: str = "info") -> list[str]:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, form, level], capture_output=True, text=True, check=True)
    return ran.stderr.splitlines()


def test_what_libraries_warn_of_is_json_where_json_is_asked_for() -> None:
    told = [json.loads(line) for line in lines_of("json")]

    assert all({"event", "level", "timestamp", "part", "process"} <= line.keys() for line in told)
    parts = [line["part"] for line in told]
    assert parts.count("uvicorn.error") == 1
    assert "python_multipart.multipart" in parts
    assert parts[-1] == "own"
    assert next(line for line in told if line["part"] == "uvicorn.error")["event"] == "Invalid HTTP request received."
    failed = next(line for line in told if line["part"] == "asyncio")
    assert failed["event"] == "a callback failed with this"
    assert "ZeroDivisionError" in failed["exception"]


@pytest.mark.parametrize(("level", "shown"), [("info", True), ("error", False)])
def test_the_least_level_holds_for_libraries_too(level: str, *, shown: bool) -> None:
    assert any("Invalid HTTP request" in line for line in lines_of("text", level)) is shown
