"""The producer: takes uploads and requests, keeps all state, queues work and records what workers report."""
