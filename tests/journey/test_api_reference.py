"""Every request of the API's reference is typed as it stands there, and answered with a status that it names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.journey.yard import make_project, open_yard
from tests.servers import need

pytestmark = pytest.mark.journey
REFERENCE = Path(__file__).parents[2] / "docs" / "api-reference.md"
_OPERATION = re.compile(
    r"^`([A-Z]+ /\S*)`$.*?^```sh\n(curl .*?)\n```$(.*?)^Errors: ([^\n]*)$", re.MULTILINE | re.DOTALL
)
_MISTAKES = {400, 405, 408, 413, 415, 422, 500, 503}
"""What an example must never be answered with, named or not."""


async def test_every_example_of_the_reference_is_a_request_that_the_producer_takes(tmp_path: Path) -> None:
    need("curl")
    told = _OPERATION.findall(REFERENCE.read_text(encoding="utf-8"))
    (tmp_path / "src.tar.gz").write_bytes(make_project("true"))  # a zip: the first bytes say so
    async with open_yard(tmp_path, {}, "max_workers = 0") as yard:
        build = await yard.submit(make_project("true"))
        stored = await yard.producer.store_upload(tmp_path / "src.tar.gz")
        script = [f"URL={yard.farm.api_url} BUILD_ID={build} JOB_ID={stored.job_id} ARTIFACT_ID={build}"]
        script += ["AGENT=linux-1-1 POOL=linux"]
        for number, (_, command, _, _) in enumerate(told):
            quick = command.replace("curl ", r"curl -sS --max-time 1 -w '\nstatus %{http_code}\n' ", 1)
            script.append(f"echo 'number {number}'; {quick} || true")
        done = subprocess.run(
            [shutil.which("bash") or "bash", "-c", "\n".join(script)],
            cwd=tmp_path,
            env={**os.environ, "no_proxy": "*"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
    parts = re.split(r"^number \d+$", done.stdout, flags=re.MULTILINE)[1:]
    assert len(parts) == len(told) > 35
    wrong = []
    for (operation, command, answers, errors), printed in zip(told, parts, strict=True):
        status = int(re.findall(r"^status (\d+)$", printed, re.MULTILINE)[-1])
        named = {int(code) for code in re.findall(r"^Answer (\d+)", answers, re.MULTILINE)}
        named |= {int(code) for code in re.findall(r"`(\d+)`", errors)}
        followed = {200, 404} if 307 in named else set()  # curl -L: the scaler's answer
        if status not in named - _MISTAKES | followed:
            wrong.append((operation, command, status, printed[-500:]))
    assert wrong == []
