"""Tests of the producer's HTTP API, over fakes of what stands behind it."""
