"""The typed clients of the two HTTP APIs, used by the command line, the scaler, the workers and dashboards.

One rule makes them safe to build on: whatever goes wrong arrives as an error of `buildyard.errors`, with a sentence
for people, a remedy, and for temporary ones how long to wait. httpx stays inside `transport`.
"""

from __future__ import annotations

from buildyard.client.producer import ProducerClient
from buildyard.client.scaler import ScalerClient

__all__ = ["ProducerClient", "ScalerClient"]
