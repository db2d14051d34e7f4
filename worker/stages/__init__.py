"""The stages of a build, each a function of the attempt: they do the work, `worker.pipeline` decides."""
