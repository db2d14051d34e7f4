"""The worker: takes one job at a time from its pool's queue, runs its stages and reports facts."""
