"""What every executor promises, for workers as Jobs: the suite of tests/scaler, unchanged, on a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.kubernetes_harness import KubernetesHarness
from tests.cluster.running import Cluster
from tests.scaler.test_executor_contract import *  # noqa: F403 - all its tests, however many there will be


@pytest.fixture  # type: ignore[no-redef] # it takes the place of the suite's own
async def harness(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesHarness]:
    made = KubernetesHarness(cluster, tmp_path)
    await made.open()
    yield made
    await made.close()
