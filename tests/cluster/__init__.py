"""A throwaway Kubernetes cluster for tests: Kubernetes' own programs, KWOK's nodes, and real processes as pods.

The session fixture `cluster` (tests/conftest.py) gives a `tests.cluster.running.Cluster`; `cluster.namespace()` is a
place of one test's own. BUILDYARD_TEST_KUBECONFIG names a cluster to use in its place. One that stays:
`python -m tests.cluster.up`. What stands behind a pod, and what of a kubelet is not imitated, says `backing.py`.

The programs are built once (`building.py`, minutes) with the Go on PATH. Annotations and names with a meaning: an image
of a host that ends in `.invalid` cannot be pulled; `buildyard.test/start-seconds` on a pod delays its start.
"""
