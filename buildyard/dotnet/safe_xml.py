"""XML from strangers: no document types, no entities, bounded in size, depth and number of elements."""

from __future__ import annotations

from typing import Protocol, TypeVar
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from buildyard.errors import InvalidRequest

MAX_DEPTH = 100
MAX_ELEMENTS = 2_000_000

Result_co = TypeVar("Result_co", covariant=True)


class Target(Protocol[Result_co]):
    """Takes the events of a document as they come; `close` gives what it made of them."""

    def start(self, tag: str, attrib: dict[str, str], /) -> object:
        """An element opens; `tag` may carry a `{namespace}`."""

    def data(self, data: str, /) -> object:
        """Text, maybe one of several pieces."""

    def end(self, tag: str, /) -> object:
        """An element closes."""

    def close(self) -> Result_co:
        """The document is over."""


class _TooMuch(Exception):
    """A bound is passed."""


class _Bounded:
    """Counts what goes through to the target, and stops at a bound."""

    def __init__(self, target: Target[object]) -> None:
        self._target = target
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrib: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise _TooMuch(f"is nested more than {MAX_DEPTH} levels deep")
        if self._elements > MAX_ELEMENTS:
            raise _TooMuch(f"holds more than {MAX_ELEMENTS:,} elements")
        self._target.start(tag, attrib)

    def data(self, data: str) -> None:
        self._target.data(data)

    def end(self, tag: str) -> None:
        self._depth -= 1
        self._target.end(tag)

    def close(self) -> None:
        """The caller closes the target."""


def local_name(tag: str) -> str:
    """An element's name without its namespace."""
    return tag.rpartition("}")[2]


def parse(data: str | bytes, target: Target[Result_co], *, name: str, max_bytes: int) -> Result_co:
    """Feed a document to a target and return what the target made of it.

    Raises:
        InvalidRequest: the document is larger than `max_bytes`, broken, or holds what no honest file needs; the
            sentence starts with `name`.
    """
    if len(data) > max_bytes:
        raise InvalidRequest(f"{name} is larger than {max_bytes // 1024:,} KiB.")
    parser = DefusedXMLParser(target=_Bounded(target), forbid_dtd=True)
    try:
        parser.feed(data)
        parser.close()
    except _TooMuch as error:
        raise InvalidRequest(f"{name} {error}.") from None
    except DefusedXmlException:
        raise InvalidRequest(f"{name} declares a document type or entities, which are refused.") from None
    except (ParseError, LookupError, ValueError) as error:
        raise InvalidRequest(f"{name} is not well-formed XML: {error}.") from error
    return target.close()


def read_tree(text: str, *, name: str, max_bytes: int) -> Element:
    """Parse a small document into a tree. Raises InvalidRequest as `parse` does."""
    tree: Element = parse(text.removeprefix("\ufeff").lstrip(), TreeBuilder(), name=name, max_bytes=max_bytes)
    return tree
