"""Objects without a build go; and what looking for old things costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.domain import retention
from orchestrator.domain.retention import Kept
from orchestrator.store import open_store
from orchestrator.store.removing import Removal
from tests.orchestrator.conftest import Yard
from tests.orchestrator.store.test_plans import plans
from tests.orchestrator.test_once import on_sqlite
from tests.orchestrator.test_removing import ALL_KEPT, BUILD_TABLES, GONE_AT_ONCE, built, keys, prefix_of, retire
from tests.orchestrator.test_service import CLOCK


@on_sqlite
async def test_objects_of_builds_that_are_not_there_go_once_they_are_old(yard: Yard) -> None:
    spec = await built(yard)
    mine = await keys(yard)
    orphan = "builds/01938a2e-7c1b-7d8e-9f00-123456789abc/jobs/x/1/late"
    await yard.objects.put(orphan, b"late")

    assert await yard.service.delete_orphans(ALL_KEPT) == 0
    assert await yard.service.delete_orphans(replace(ALL_KEPT, orphans=timedelta(days=-1))) == 1

    assert await keys(yard) == mine
    assert (await yard.views.build(spec.build_id)).status == "Succeeded"


@on_sqlite
async def test_what_a_removed_build_gets_late_goes_and_many_objects_of_unknown_builds_stay(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that was given an empty database must not empty the object store."""
    spec = await built(yard)
    await retire(yard, GONE_AT_ONCE)
    await yard.objects.put(f"{prefix_of(spec)}late", b"late")
    strange = [f"builds/01938a2e-7c1b-7d8e-9f00-12345678900{number}/x" for number in range(3)]
    for key in strange:
        await yard.objects.put(key, b"whose?")
    keep = replace(ALL_KEPT, orphans=timedelta(days=-1))

    with monkeypatch.context() as patched:
        patched.setattr(retention, "STRANGE_OBJECTS", 1)
        assert await yard.service.delete_orphans(keep) == 1
    assert await keys(yard) == strange

    assert await yard.service.delete_orphans(keep) == 3
    assert await keys(yard) == []


async def test_looking_for_what_is_old_reads_no_table_from_end_to_end(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    store = open_store(f"sqlite+aiosqlite:///{file}", CLOCK)
    await store.migrate()

    with plans(store.writer, file) as found:
        async with store.begin() as tx:
            await tx.past(Kept.ALL, CLOCK.now(), None, 9)
            await tx.past(Kept.ALL, CLOCK.now(), (CLOCK.now(), "0"), 9)
            await tx.past_held(["0"])
            await tx.mark(["0"], Kept.NOTHING)
            await tx.removals(9)
            await tx.referenced_keys("0")
            await tx.builds_there(["0"])
            await tx.builds_removed(["0"])
            await tx.finish_removals([Removal("0", Kept.NOTHING), Removal("0", Kept.RECORD)])
            await tx.drop_tombstones_before(CLOCK.now())
    await store.close()

    names = {*BUILD_TABLES, "newer", "before", "tombstones"}
    assert len(found) > 20
    assert [step for step in found if step.startswith("SCAN ") and step.split()[1] in names] == []
