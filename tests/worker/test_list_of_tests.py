"""The list of a build's tests is stored beside its log, of failed builds too, and no outage decides about a build."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.contracts.builds import Outcome, TestCase
from buildyard.contracts.testing import TestListHead
from tests.worker.fakes import FailingObjects, Rig, upload_rig, zipped
from worker.stages import test_list


async def _list(rig: Rig, key: str) -> tuple[TestListHead, list[TestCase]]:
    head, *cases = (await rig.objects.read(key)).splitlines()
    return TestListHead.model_validate_json(head), [TestCase.model_validate_json(line) for line in cases]


async def test_a_failed_build_has_its_list_too_below_its_own_prefix(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@true\ncheck:\n\t@false\n"}))

    finished = await rig.run()

    assert finished.outcome is Outcome.FAILED
    assert finished.tests_key == f"{rig.attempt.spec.output_prefix}tests.jsonl"
    head, cases = await _list(rig, finished.tests_key)
    assert [(case.name, case.status) for case in cases] == [("make check", "failed")]
    assert (head.cases, [suite.failed for suite in head.suites]) == (1, [1])


async def test_a_build_without_tests_has_no_list(tmp_path: Path) -> None:
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@true\n"}))

    finished = await rig.run()

    assert (finished.outcome, finished.tests_key) == (Outcome.SUCCEEDED, "")


@pytest.mark.parametrize(("failures", "stored"), [(2, True), (100, False)])
async def test_an_object_store_that_is_away_costs_the_list_and_not_the_build(
    failures: int, stored: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_list, "_FIRST_PAUSE", 0.001)
    objects = FailingObjects(0)
    rig = await upload_rig(tmp_path, zipped({"Makefile": "all:\n\t@true\ncheck:\n\t@true\n"}), objects=objects)
    store = objects.put
    left = failures

    async def put(key: str, chunks: object) -> object:
        nonlocal left
        if key.endswith("tests.jsonl") and left:
            left -= 1
            objects.failures = 1
        return await store(key, chunks)  # type: ignore[arg-type] # as it came

    monkeypatch.setattr(objects, "put", put)

    finished = await rig.run()

    assert (finished.outcome, bool(finished.tests_key)) == (Outcome.SUCCEEDED, stored)
    assert finished.tests is not None
    assert finished.tests.passed == 1
    assert ("the list of tests is left out" in await rig.log_text()) is not stored
