from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome
from tests.worker.fakes import upload_rig, zipped

_TAP = "printf 'TAP version 13\\nok 1 - a\\nnot ok 2 - sums\\n1..2\\n'; exit 1"
_JUNIT = 'echo \'<testsuite><testcase name="a"/><testcase name="b"/></testsuite>\' >junit.xml'


@pytest.mark.parametrize(
    ("script", "outcome", "passed", "failing"),
    [
        (_TAP, Outcome.FAILED, 1, ["sums"]),
        (_JUNIT, Outcome.SUCCEEDED, 2, []),
        ("echo all is well", Outcome.SUCCEEDED, 1, []),
        ("echo oops; exit 1", Outcome.FAILED, 0, ["npm test"]),
    ],
    ids=["TAP", "JUnit", "passed", "failed"],
)
async def test_a_command_is_a_test_only_if_its_output_and_the_reports_tell_of_none(
    script: str, outcome: Outcome, passed: int, failing: list[str], tmp_path: Path
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1" = test ] || exit 0\n{script}\n')
    npm.chmod(0o700)
    archive = zipped({"package.json": '{"scripts": {"test": "some-runner"}}'})
    rig = await upload_rig(tmp_path, archive, tools={"node": sys.executable, "npm": str(npm)})

    finished = await rig.run()

    assert finished.outcome is outcome, finished.reason
    assert finished.tests is not None
    assert finished.tests.passed == passed
    assert [case.name for case in finished.tests.failures] == failing
