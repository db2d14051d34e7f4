"""Requests made up from the OpenAPI document, one by one and in sequences, against a real producer: every check passes.

`BUILDYARD_TEST_FUZZ=200` tries that many requests an operation, and that many sequences, in place of a few.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.config import SchemathesisConfig

from bench.upload_memory import producer

pytestmark = pytest.mark.journey
TRIES = int(os.environ.get("BUILDYARD_TEST_FUZZ", "6"))
STEPS = 12
RULES: dict[str, Any] = {
    "checks": {
        # a request may be well-formed and yet be refused by what the farm has: its pools, its hosts, its longest build
        "positive_data_acceptance": {"expected-statuses": ["2xx", "3xx", 400, 401, 403, 404, 409, 413, 415, 416, 422]},
    },
}
FUZZ = settings(
    max_examples=TRIES,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    derandomize=TRIES < 20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
ENDLESS = "watch_farm"
api = schemathesis.pytest.from_fixture("schema").exclude(operation_id=ENDLESS)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    """The document of a producer of its own."""
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    with asyncio.Runner() as runner:
        running = producer(folder)
        _, url = runner.run(running.__aenter__())
        config = SchemathesisConfig.from_dict(RULES)
        yield schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
        runner.run(running.__aexit__(None, None, None))


@api.parametrize()
@FUZZ
def test_every_answer_is_a_documented_one(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(timeout=60)


def test_sequences_of_requests_that_lead_to_one_another_pass_all_checks(schema: schemathesis.BaseSchema) -> None:
    machine = schema.exclude(operation_id=ENDLESS).as_state_machine()
    run_state_machine_as_test(machine, settings=FUZZ)
