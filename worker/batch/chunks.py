"""How a batch is cut into jobs; pure."""

from __future__ import annotations

from collections.abc import Sequence

from buildyard.contracts.builds import RowChunk, RowSpan

USUAL_JOBS = 1000
"""Up to so many rows each is a job of its own; above, so many jobs share them."""
MAX_JOBS = 10_000
"""However few rows a job shall have."""


def rows_per_job(rows: int, asked: int | None) -> int:
    """One row a job up to USUAL_JOBS rows, above that what makes as many jobs; `asked` wins within MAX_JOBS."""
    if asked is None:
        return max(1, -(-rows // USUAL_JOBS))
    return max(asked, -(-rows // MAX_JOBS), 1)


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
