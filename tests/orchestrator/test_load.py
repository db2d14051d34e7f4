"""What the gate is told of the farm's load, on both databases."""

from __future__ import annotations

from tests.orchestrator.conftest import Yard
from tests.orchestrator.test_service import a_request, an_upload, claim, finished, join, submit


async def test_bytes_count_until_their_build_has_ended_and_builds_that_ran_tell_how_long_they_took(yard: Yard) -> None:
    upload = an_upload()
    empty = await yard.views.load()
    assert (empty.open_builds, empty.unbuilt_bytes, empty.past_seconds) == (0, 0, ())

    stored = await yard.service.keep_upload(upload, requester="local")
    assert (await yard.views.load()).unbuilt_bytes == upload.size_bytes > 0
    await yard.service.start_upload(stored.job_id, a_request(), requester="local")
    await submit(yard)
    load = await yard.views.load()
    assert (load.open_builds, load.unbuilt_bytes, load.agents) == (2, 2 * upload.size_bytes, 0)

    await join(yard)
    spec = await claim(yard)
    assert spec is not None
    await yard.service.record(finished(spec))
    load = await yard.views.load()
    assert (load.open_builds, load.unbuilt_bytes, load.agents) == (1, upload.size_bytes, 1)
    assert len(load.past_seconds) == 1
