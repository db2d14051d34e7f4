"""The first lines of a log that tell what went wrong, for whoever looks at a build that failed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from contextlib import aclosing, suppress

from buildyard.cli.output import log_line
from buildyard.client import ProducerClient
from buildyard.contracts.api import BuildStatus
from buildyard.contracts.builds import StageStatus
from buildyard.contracts.diagnostics import StageDiagnostic
from buildyard.errors import BuildyardError

_LINES_LOOKED_AT = 5000
_LINES_SHOWN = 5
_ERROR = re.compile(
    r"(?:^|[\s:\[(])(?:fatal(?: error)?|error|ERROR|Error|FAILED|FAIL|panic)(?:\[\w+\])?(?:\s+[A-Z]{1,12}\d{1,6}\s*)?"
    r"(?::|!|\s|$|\])"
    r"|^E\s{2,}\S|^[\w.]*(?:Error|Exception)\b|\b(?:command|No such file|Permission denied|not found)\b.*$"
)
_NO_ERROR = re.compile(r"\b(?:0|no) errors?\b|\b0 Error\(s\)", re.IGNORECASE)


async def first_errors(producer: ProducerClient, build: BuildStatus) -> tuple[str, ...]:
    """Up to five errors with their places, else lines of the stage that failed.

    None where no stage did, or its failing tests are known by name.
    """
    failed = next((stage.name for stage in build.stages if stage.status == StageStatus.FAILED.wire), None)
    if failed is None or (build.tests and build.tests.failures):
        return ()
    with suppress(BuildyardError):  # an older farm knows none
        found = (await producer.diagnostics(build.execution_id)).diagnostics
        errors = [one for one in found if one.severity == "error" and one.stage == failed]
        if errors:
            return tuple(_shown(one) for one in errors[:_LINES_SHOWN])
    lines: list[str] = []
    with suppress(BuildyardError):  # the build itself is what was asked for
        async with aclosing(producer.logs(build.execution_id, stage=failed, tail=_LINES_LOOKED_AT)) as log:
            lines = [line async for line in log]
    return telling(lines)


def _shown(one: StageDiagnostic) -> str:
    code = f" [{one.code}]" if one.code else ""
    return f"{one.place}: {one.message}{code}"


def telling(lines: Iterable[str]) -> tuple[str, ...]:
    """The first lines that speak of an error, else the last ones that say anything."""
    errors: dict[str, None] = {}
    last: deque[str] = deque(maxlen=_LINES_SHOWN)
    for line in lines:
        text = log_line(line, colours=False).rstrip()
        if not text.strip():
            continue
        last.append(text)
        if _ERROR.search(text) and not _NO_ERROR.search(text):
            errors.setdefault(text)
        if len(errors) == _LINES_SHOWN:
            break
    return tuple(errors) or tuple(last)
