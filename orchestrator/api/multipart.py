"""A multipart form, parsed as its bytes come: heads, data and ends, without keeping a file in memory. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from buildyard.errors import InvalidRequest
from orchestrator.api.problems import unreadable, unsupported

_CURL = "curl -F file=@src.zip URL/upload"


@dataclass(frozen=True)
class PartHead:
    """A part begins. `filename` is None for a plain field."""

    name: str
    filename: str | None
    content_type: str


@dataclass(frozen=True)
class PartEnd:
    """The part is complete."""


@dataclass(frozen=True)
class FormEnd:
    """The closing boundary came: the form is complete."""


FormEvent = PartHead | PartEnd | FormEnd | memoryview

_PART_END: Final = PartEnd()
_FORM_END: Final = FormEnd()


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type names.

    Raises:
        InvalidUpload: (415) it is no multipart form.
        InvalidRequest: (400) it names no boundary, or an impossible one.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise unsupported("An upload is a multipart form with the field `file`.", remedy=f"For example: {_CURL}")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 200:  # noqa: PLR2004 - RFC 2046 allows 70, parsers a little more
        raise unreadable("The form names no usable boundary.", remedy=f"Let the client make it: {_CURL}")
    return boundary


class FormParser:
    """Bytes in, events out."""

    def __init__(self, boundary: bytes) -> None:
        self._events: list[FormEvent] = []
        self._field = bytearray()
        self._value = bytearray()
        self._headers: dict[str, str] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
        )

    def feed(self, chunk: bytes) -> list[FormEvent]:
        """What `chunk` brings; data are views of it, to be used before the next call.

        Raises:
            InvalidRequest: (400) the form is broken.
        """
        self._events = []
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _broken() from error
        return self._events

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._field.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._events.append(_head_of(self._headers))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(memoryview(data)[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_PART_END)

    def _on_end(self) -> None:
        self._events.append(_FORM_END)


def _head_of(headers: dict[str, str]) -> PartHead:
    # parse_options_header speaks latin-1; clients write UTF-8, so its bytes travel through it as latin-1.
    disposition = headers.get("content-disposition", "").encode().decode("latin-1")
    kind, options = parse_options_header(disposition)
    if kind != b"form-data" or b"name" not in options:
        raise _broken()
    filename = options.get(b"filename")
    return PartHead(
        name=options[b"name"].decode("utf-8", "replace"),
        filename=None if filename is None else filename.decode("utf-8", "replace"),
        content_type=headers.get("content-type", "").split(";")[0].strip().lower(),
    )


def _broken() -> InvalidRequest:
    return unreadable("The multipart form is broken.", remedy=f"Let the client make it: {_CURL}")
