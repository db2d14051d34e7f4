"""The source of a job, wherever it comes from."""

from __future__ import annotations

from buildyard.contracts.builds import Outcome, ReasonCode, UploadSource
from buildyard.errors import NotFound
from worker.attempt import Attempt
from worker.pipeline import Ending, missing_tools
from worker.stages.git_fetch import fetch_git
from worker.stages.upload_fetch import fetch_upload


async def fetch_source(attempt: Attempt) -> Ending | None:
    """Bring the job's source into the workspace; an Ending when the upload is gone, or the agent has no git.

    Raises as `fetch_upload` and `fetch_git` do.
    """
    source = attempt.spec.source
    if isinstance(source, UploadSource):
        return await _uploaded(attempt, source)
    if (ending := missing_tools(("git",), frozenset(attempt.tools.paths))) is not None:
        return ending
    await fetch_git(attempt, source)
    return None


async def _uploaded(attempt: Attempt, source: UploadSource) -> Ending | None:
    try:
        await fetch_upload(attempt, source)
    except NotFound:
        sentence = "The upload is not stored any more; send it again."
        return Ending(Outcome.REJECTED, ReasonCode.UPLOAD_GONE, sentence)
    return None
