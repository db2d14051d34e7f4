"""`buildyard why`: the scaler's explanations, in sentences."""

from __future__ import annotations

import re

from buildyard.cli.exits import OK
from buildyard.cli.session import Session
from buildyard.contracts.scaling import WhyList
from buildyard.errors import InvalidSettings

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def why(session: Session, words: tuple[str, ...], *, as_json: bool) -> int:
    """Explain the workers of all pools, of one, or a build.

    Raises:
        InvalidSettings: the words say none of these.
        NotFound: there is no such pool or build.
    """
    pool, build = asked(words)
    async with session.scaler() as scaler:
        found: WhyList = await scaler.why(pool=pool, build=build)
    if as_json:
        session.output.json(found.wire())
        return OK
    for place, answer in enumerate(found.answers):
        if place:
            session.output.line()
        for sentence in answer.sentences:
            session.output.line(sentence)
    return OK


def asked(words: tuple[str, ...]) -> tuple[str | None, str | None]:
    """The pool or the build that is asked about; neither for all pools. Raises InvalidSettings."""
    match words:
        case () | ("workers",) | ("pools",):
            return None, None
        case ("build", name):
            return None, name
        case ("pool" | "workers", name):
            return name, None
        case (name,) if name not in {"build", "pool"}:
            return (None, name) if _ID.fullmatch(name) else (name, None)
        case _:
            raise InvalidSettings(
                f"`why {' '.join(words)}` asks about nothing known.",
                remedy="Ask `buildyard why`, `why pool NAME` or `why build ID`.",
            )
