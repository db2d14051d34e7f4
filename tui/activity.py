"""What was done from here, and what came of it: the newest orders with their outcomes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from tui.format import Mark
from tui.orders import Order, Outcome
from tui.state import Ref

MOST_ENTRIES = 2_000
Stage = Literal["Waiting", "Doing"] | Outcome
MARKS: dict[str, Mark] = {
    "Waiting": Mark("·", ".", "Waiting", "waiting"),
    "Doing": Mark("▸", ">", "Doing", "active"),
    "Done": Mark("✓", "v", "Done", "good"),
    "Refused": Mark("✗", "x", "Refused", "bad"),
    "Unknown": Mark("?", "?", "Unknown", "warning"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One order: what it was, in words, how far it is, and what came of it."""

    order: Order
    text: str
    at: datetime
    stage: Stage = "Waiting"
    sentence: str = ""
    made: Ref | None = None

    @property
    def under_way(self) -> bool:
        """Whether its outcome is still to come."""
        return self.stage in {"Waiting", "Doing"}


class Activity:
    """The orders by key, oldest first; what is under way is never given up."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self.version = 0
        """Grows with every change."""

    def newest_first(self) -> Sequence[Entry]:
        """All that is kept."""
        return tuple(reversed(self._entries.values()))

    def entry(self, key: str) -> Entry:
        """The order with that key. KeyError where it is not kept."""
        return self._entries[key]

    @property
    def under_way(self) -> int:
        """Orders whose outcome is still to come."""
        return sum(entry.under_way for entry in self._entries.values())

    def add(self, order: Order, text: str, at: datetime) -> None:
        """An order was given, or given again: then the same entry begins anew."""
        self._entries.pop(order.key, None)
        self._put(Entry(order, text, at))
        for key in [key for key, one in self._entries.items() if not one.under_way]:
            if len(self._entries) <= MOST_ENTRIES:
                break
            del self._entries[key]

    def begun(self, key: str) -> None:
        """It is asked for now."""
        self._put(replace(self._entries[key], stage="Doing"))

    def ended(self, key: str, outcome: Outcome, sentence: str, made: Ref | None = None) -> None:
        """What came of it."""
        self._put(replace(self._entries[key], stage=outcome, sentence=sentence, made=made))

    def _put(self, entry: Entry) -> None:
        self._entries[entry.order.key] = entry
        self.version += 1


def told(entries: Sequence[Entry]) -> str:
    """What came of orders that were given together, in a sentence."""
    counts = {outcome: sum(one.stage == outcome for one in entries) for outcome in ("Done", "Refused", "Unknown")}
    if len(entries) == 1:
        (only,) = entries
        return f"{only.text}: {only.sentence}"
    said = [f"{number} {outcome.lower()}" for outcome, number in counts.items() if number]
    first = next((one for one in entries if one.stage != "Done"), None)
    why = f" {first.text}: {first.sentence}" if first else ""
    return f"Of {len(entries)}: {', '.join(said)}.{why}"
