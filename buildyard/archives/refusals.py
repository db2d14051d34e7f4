"""The sentences of refusal, which may quote a hostile name only in a form that is safe to show."""

from __future__ import annotations

from buildyard.errors import HostileArchive

_SHOWN_HEAD = 50
_SHOWN_TAIL = 27


def shown(name: str) -> str:
    """Return the name as a sentence or a log line may quote it: printable and at most 80 characters."""
    if len(name) > _SHOWN_HEAD + _SHOWN_TAIL + 3:
        name = f"{name[:_SHOWN_HEAD]}...{name[-_SHOWN_TAIL:]}"
    return "".join(character if character.isprintable() else "?" for character in name)


def refused(name: str, rule: str, *, remedy: str = "") -> HostileArchive:
    """Return the error for one entry; `rule` continues the sentence: 'is a link'."""
    return HostileArchive(f'The archive was refused: its entry "{shown(name)}" {rule}.', remedy=remedy)


def damaged(what: str) -> HostileArchive:
    """Return the error for an archive that does not hold together; `what` is a clause: 'it is cut off'."""
    return HostileArchive(
        f"The archive is damaged: {what}.", remedy="Pack it again and compare its sha256 after sending."
    )
