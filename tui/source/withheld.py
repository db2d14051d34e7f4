"""Which parts of what a source has are not told: to whoever may not see them, or by a server that has them not."""

from __future__ import annotations

from buildyard.clock import Clock
from buildyard.errors import BuildyardError, Forbidden, PermanentError, Unauthorized
from tui.source.outbox import Outbox
from tui.state.events import PartSeen, SourceName


class Withheld:
    """Tells when a part is refused, once for each cause, and when it is told again."""

    def __init__(self, source: SourceName, outbox: Outbox, clock: Clock) -> None:
        self._source = source
        self._outbox = outbox
        self._clock = clock
        self._causes: dict[str, str] = {}

    def note(self, part: str, error: BuildyardError | None) -> None:
        """A part was read, or refused; silence and a wrong token are matters of the whole connection."""
        if error is None:
            if self._causes.pop(part, None) is not None:
                self._tell(PartSeen(self._source, self._clock.now(), part))
        elif isinstance(error, PermanentError) and not isinstance(error, Unauthorized):
            self.refused(part, error)

    def refused(self, part: str, error: BuildyardError) -> None:
        """A part was refused."""
        cause = str(error) or type(error).__name__
        if self._causes.get(part) != cause:
            self._causes[part] = cause
            forbidden = isinstance(error, Forbidden)
            self._tell(PartSeen(self._source, self._clock.now(), part, cause, error.remedy, forbidden=forbidden))

    def _tell(self, event: PartSeen) -> None:
        self._outbox.put_latest(f"part/{event.part}", event)
