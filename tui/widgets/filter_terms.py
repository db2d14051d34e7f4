"""The filter language of tables and logs: terms divided by spaces, all of which must hold.

    word            the text contains it
    key:value       the field `key` contains the value; `a|b` means either
    !term           the term does not hold
    "two words"     one term with a space; also key:"two words"

Letters match in both cases unless the term holds a capital. A key that the table or log does not have makes the whole
term a word, so that `https://host` and `error:` look for what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

Item = TypeVar("Item")

_TERM = re.compile(r'(?P<no>!?)(?:(?P<key>[A-Za-z_][\w-]*):)?(?P<value>"[^"]*"?|[^\s"]\S*|)')


@dataclass(frozen=True)
class Term:
    """One condition: any of `needles` is in the field `key` (empty: in the text), or with `inverted` none is."""

    needles: tuple[str, ...]
    key: str = ""
    inverted: bool = False

    @cached_property
    def folds(self) -> bool:
        """Whether capitals and small letters are the same."""
        return not any(needle != needle.lower() for needle in self.needles)

    @property
    def chip(self) -> str:
        """The term as it is shown and as it can be typed again."""
        value = "|".join(self.needles)
        quoted = f'"{value}"' if _needs_quotes(value, keyed=bool(self.key)) else value
        return f"{'!' if self.inverted else ''}{self.key + ':' if self.key else ''}{quoted}"

    def holds(self, text: str) -> bool:
        """Whether the term holds for this text (of the field, where the term names one)."""
        return self.among([text], lambda one: one) == [text]

    def among(self, items: Iterable[Item], text_of: Callable[[Item], str]) -> list[Item]:
        """Those items for whose text the term holds: one pass, fast over many."""
        needles, folds, inverted = self.needles, self.folds, self.inverted
        if len(needles) > 1:
            found = re.compile("|".join(map(re.escape, needles))).search
            return [item for item in items if bool(found(_folded(text_of(item), folds=folds))) != inverted]
        needle = needles[0]
        if folds:
            return [item for item in items if (needle in text_of(item).lower()) != inverted]
        return [item for item in items if (needle in text_of(item)) != inverted]


@dataclass(frozen=True)
class Filter:
    """All terms of one filter; without terms it lets everything through."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def chips(self) -> tuple[str, ...]:
        """The terms as they are shown."""
        return tuple(term.chip for term in self.terms)

    def __str__(self) -> str:
        return " ".join(self.chips)

    def matches(self, field: Callable[[str], str]) -> bool:
        """Whether all terms hold; `field` gives the text of a field, and for "" the whole text."""
        return all(term.holds(field(term.key)) for term in self.terms)

    def words(self) -> tuple[Term, ...]:
        """The terms whose words can be shown where they stand in a text."""
        return tuple(term for term in self.terms if not term.key and not term.inverted)


def parse(text: str, keys: Collection[str] = ()) -> Filter:
    """Read a filter as typed; `keys` are the fields there are. Nothing typed is wrong: what is half typed is a word."""
    return Filter(tuple(_terms(text, keys)))


def spans(text: str, terms: Collection[Term]) -> list[tuple[int, int]]:
    """Where the words of `terms` stand in `text`: sorted, not overlapping (start, end) in characters."""
    found: list[tuple[int, int]] = []
    for term in terms:
        folded = text.lower() if term.folds else text
        if len(folded) != len(text):
            continue  # a letter whose small form is longer: places would not be the text's
        for needle in term.needles:
            at = folded.find(needle)
            while at >= 0:
                found.append((at, at + len(needle)))
                at = folded.find(needle, at + len(needle))
    return _merged(sorted(found))


def _terms(text: str, keys: Collection[str]) -> Iterator[Term]:
    for match in _TERM.finditer(text):
        key, value = match["key"] or "", match["value"]
        if key and key not in keys:
            key, value = "", f"{key}:{value}"
        quoted = value.startswith('"')
        value = value.strip('"') if quoted else value
        needles = tuple(part for part in value.split("|") if part)
        if needles:
            yield Term(needles, key, inverted=bool(match["no"]))


def _needs_quotes(value: str, *, keyed: bool) -> bool:
    return " " in value or (not keyed and value.startswith("!"))


def _folded(text: str, *, folds: bool) -> str:
    return text.lower() if folds else text


def _merged(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    whole: list[tuple[int, int]] = []
    for start, end in found:
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole
