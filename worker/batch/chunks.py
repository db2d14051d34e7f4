"""How a batch is cut into jobs; pure."""

from __future__ import annotations

from collections.abc import Sequence

from buildyard.contracts.builds import RowChunk, RowSpan

SINGLE_ROWS = 1000
"""Up to so many rows each is a job of its own, so that a queue's depth is the number of rows that wait."""
CHUNKED_JOBS = 200
"""Above that so many jobs share them: a job costs the farm as much as dozens of short rows."""
MAX_JOBS = 10_000
"""However few rows a job shall have."""


def rows_per_job(rows: int, asked: int | None) -> int:
    """One row a job up to SINGLE_ROWS rows, above that what makes CHUNKED_JOBS jobs; `asked` wins within MAX_JOBS."""
    if asked is None:
        return 1 if rows <= SINGLE_ROWS else -(-rows // CHUNKED_JOBS)
    return max(asked, -(-rows // MAX_JOBS), 1)


def rows_per_call_job(rows: int, asked: int | None, most_jobs: int) -> int:
    """All rows in one job, which can keep many calls in the air; `asked` wins as long as each job has a call to make.

    The jobs share the build's limits, so there are never more of them than calls that may begin at once.
    """
    return max(asked or rows, -(-rows // most_jobs))


def cut(offsets: Sequence[int], asked: int | None) -> tuple[RowChunk, ...]:
    """The chunks of a rows object, in order, without gaps.

    `offsets` are the byte positions of the rows' beginnings and, last, of the end: one more than there are rows.
    """
    rows = len(offsets) - 1
    step = rows_per_job(rows, asked)
    return tuple(
        RowChunk(
            span=RowSpan(first=start + 1, count=min(step, rows - start)),
            byte_start=offsets[start],
            byte_end=offsets[min(start + step, rows)],
        )
        for start in range(0, rows, step)
    )
