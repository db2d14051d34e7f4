"""Annotations: what pinning words to a build changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from buildyard.contracts.annotations import Annotation, AnnotationRequest
from buildyard.errors import Conflict
from orchestrator.domain.records import Build, EventDraft, Step

MOST = 100
"""Annotations of one build."""


def annotate(
    build: Build, known: Sequence[Annotation], request: AnnotationRequest, requester: str, now: datetime
) -> tuple[Annotation, Step | None]:
    """The annotation as it stands from now on, and the step that tells of it; None where it says what it said before.

    Raises:
        Conflict: (code `too_many_annotations`) the build has its most, and none of this context.
    """
    earlier = next((one for one in known if one.context == request.context), None)
    if earlier is not None and (earlier.text, earlier.style) == (request.text, request.style.wire):
        return earlier, None
    if earlier is None and len(known) >= MOST:
        error = Conflict(
            f"The build has {len(known)} annotations, and takes at most {MOST}.",
            remedy="Replace one: send the context of an annotation that is there.",
        )
        error.code = "too_many_annotations"
        raise error
    pinned = Annotation(
        context=request.context, style=request.style.wire, text=request.text, at=now, requester=requester
    )
    told = {"context": pinned.context, "style": pinned.style, "text": pinned.text, "by": requester}
    return pinned, Step(build, events=(EventDraft("build_annotated", told),))
