"""What was left out, told in few words however much it was."""

from __future__ import annotations

from buildyard.archives.refusals import shown


class Notes:
    """Counts by reason, with the first name as the example."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, reason: str, name: str) -> None:
        """Note one more; `reason` is a plural: 'links'."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._first.setdefault(reason, shown(name))

    def sentences(self) -> tuple[str, ...]:
        """Return one sentence for each reason."""
        return tuple(
            f'Left out {reason}: {count}, the first is "{self._first[reason]}".'
            for reason, count in self._counts.items()
        )
