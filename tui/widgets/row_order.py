"""Which rows a table shows and in which order, kept right while single rows change.

A change of one row costs a binary search, not a new sort: 500 changes a second over 10,000 rows are nothing.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

Row_co = TypeVar("Row_co", covariant=True)


class Rows(Protocol[Row_co]):
    """Where a table gets its rows: nothing is copied, and only rows drawn, sorted or filtered are asked for."""

    def keys(self) -> Sequence[str]:
        """All keys in their natural order."""

    def row(self, key: str) -> Row_co:
        """The row as it is now; KeyError where it has gone."""

    def version(self, key: str) -> object:
        """Something that compares unequal once the row has changed; KeyError where it has gone."""


class RowOrder:
    """An ordered set of keys under a sort and a filter.

    `sort_key` gives a comparable value or None (missing values stand last either way); no sort keeps the natural
    order. `accepts` says whether a row is shown. Both read rows by key when they are called.
    """

    def __init__(self) -> None:
        self._sort_key: Callable[[str], Any] | None = None
        self._descending = False
        self._accepts: Callable[[str], bool] | None = None
        self._entries: list[tuple[Any, ...]] = []
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._ordinals: dict[str, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def total(self) -> int:
        """How many rows there are, shown or not."""
        return len(self._ordinals)

    def arrange(
        self,
        keys: Sequence[str],
        *,
        sort_key: Callable[[str], Any] | None = None,
        descending: bool = False,
        accepts: Callable[[str], bool] | None = None,
    ) -> None:
        """Build the order anew from all keys, in their natural order."""
        self._sort_key, self._descending, self._accepts = sort_key, descending, accepts
        self._ordinals = {key: place for place, key in enumerate(keys)}
        self._next = len(keys)
        shown: Iterable[str] = keys if accepts is None else filter(accepts, keys)
        if sort_key is None and not descending:
            self._entries = [(self._ordinals[key], key) for key in shown] if accepts else list(enumerate(keys))
        else:
            self._entries = sorted(map(self._entry, shown))
        self._shown = {entry[-1]: entry for entry in self._entries}

    def update(self, changed: Iterable[str], gone: Iterable[str] = ()) -> bool:
        """Take in rows that are new, have changed or are gone; True where the order or number of shown rows changed."""
        moved = False
        for key in gone:
            if self._ordinals.pop(key, None) is not None:
                moved |= self._remove(key)
        for key in changed:
            if key not in self._ordinals:
                self._ordinals[key] = self._next
                self._next += 1
            entry = self._entry(key) if self._accepts is None or self._accepts(key) else None
            if entry == self._shown.get(key):
                continue
            self._remove(key)
            if entry is not None:
                self._shown[key] = entry
                insort(self._entries, entry)
            moved = True
        return moved

    def key_at(self, index: int) -> str:
        """The key on a line of the table, counted from 0; IndexError beyond the end."""
        if index < 0:
            raise IndexError(index)
        key: str = self._entries[self._place(index)][-1]
        return key

    def index_of(self, key: str | None) -> int | None:
        """The line on which a key is shown, or None."""
        entry = self._shown.get(key) if key is not None else None
        return None if entry is None else self._place(bisect_left(self._entries, entry))

    def between(self, start: int = 0, stop: int | None = None) -> list[str]:
        """The shown keys from line `start` to before `stop`."""
        return [self.key_at(index) for index in range(start, min(len(self), len(self) if stop is None else stop))]

    def _place(self, index: int) -> int:
        return len(self._entries) - 1 - index if self._descending else index

    def _entry(self, key: str) -> tuple[Any, ...]:
        if self._sort_key is None:
            return (self._ordinals[key], key)
        value = self._sort_key(key)
        if value is None:  # the order is read backwards where it descends; what is missing stays last
            return (not self._descending, 0, self._ordinals[key], key)
        return (self._descending, value, self._ordinals[key], key)

    def _remove(self, key: str) -> bool:
        entry = self._shown.pop(key, None)
        if entry is None:
            return False
        del self._entries[bisect_left(self._entries, entry)]
        return True
