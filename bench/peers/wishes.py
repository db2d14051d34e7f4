"""What the driver wishes of a program, from the environment: workers are started by commands of their own."""

from __future__ import annotations

import os
from typing import Any

Row = tuple[int, dict[str, str]]
"""A row's number from 1, and its columns."""
Result = dict[str, Any]

AMQP = os.environ.get("BENCH_AMQP", "")
QUEUE = os.environ.get("BENCH_QUEUE", "bench")
QUEUE_TYPE = os.environ.get("BENCH_QUEUE_TYPE", "quorum")
PREFETCH = int(os.environ.get("BENCH_PREFETCH", "1"))
RESULTS = os.environ.get("BENCH_RESULTS", "")
"""URL of what keeps results; empty: none are kept."""
RECORDS = os.environ.get("BENCH_RECORDS", os.devnull)
