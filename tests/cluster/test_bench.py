"""The bench of the cluster in small: its parts measure what they say, on the control plane of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import cluster_bursts, cluster_crowd
from bench.cluster_place import ground
from bench.cluster_plot import svg
from bench.figures import Row
from tests.cluster.running import Cluster

pytestmark = pytest.mark.timeout(900)

BURSTS, STREAMS = 4, ("linux", "linux-b")
WORKERS, ENDED = 12, 30


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No servers but the control plane's: a farm of its own is quicker to start."""
    monkeypatch.delenv("BUILDYARD_TEST_AMQP_URL", raising=False)
    monkeypatch.delenv("BUILDYARD_TEST_POSTGRES_URL", raising=False)


@pytest.fixture(autouse=True)
def ours(cluster: Cluster) -> None:
    if not (cluster.folder / "control").exists():
        pytest.skip("this cluster is somebody else's: nobody writes down its requests")


async def test_bursts_get_a_job_for_each_of_their_jobs_and_are_timed_from_the_upload(
    cluster: Cluster, tmp_path: Path
) -> None:
    with ground(cluster, tmp_path) as place:
        bursts = await cluster_bursts.run(place, BURSTS, STREAMS)

    assert len(bursts) == BURSTS
    for burst in bursts:
        assert len(burst.created) == burst.jobs
        assert burst.sent < burst.taken
        assert burst.sent < burst.created[0] <= burst.created[-1]
    assert figures(cluster_bursts.rows(bursts, len(STREAMS)))["Jobs created"].startswith(
        f"{sum(burst.jobs for burst in bursts)} of "
    )


async def test_a_crowd_is_counted_with_its_calls_its_memory_and_its_ticks(cluster: Cluster, tmp_path: Path) -> None:
    with ground(cluster, tmp_path) as place:
        crowd = await cluster_crowd.crowd(place, WORKERS, ticks=2)
    with ground(cluster, tmp_path) as place:
        past = await cluster_crowd.past(place, ENDED, ticks=2)
        with cluster.client() as api:
            ended = api.get(f"/apis/batch/v1/namespaces/{place.place.namespace}/jobs").json()["items"]

    assert len(crowd.created) == WORKERS
    assert {one.name for one in crowd.requests if one.what == "jobs" and one.verb == "create"} == {
        f"linux-{slot}-1" for slot in range(1, WORKERS + 1)
    }
    assert crowd.submitted < crowd.created[0] <= crowd.created[-1] < crowd.all_ran
    assert crowd.memory > 0
    assert len(crowd.ticks) == len(past.ticks) == 2
    assert len(ended) == ENDED
    assert all(job["status"]["succeeded"] == 1 for job in ended)
    assert f"{WORKERS} workers" in figures(cluster_crowd.rows_of_crowd(crowd))
    assert past.jobs == ENDED
    burst = cluster_bursts.Burst(2, 10.0, 10.1, (10.2, 10.3))
    assert svg([burst], crowd).count("<polyline") == 3


def figures(rows: list[Row]) -> dict[str, str]:
    """Figures by the first two words of what they are."""
    return {" ".join(row.what.split()[:2]): row.figure for row in rows}
