"""What an upload is, told from its first bytes; its name decides only whether text is a table. Pure."""

from __future__ import annotations

import codecs

from buildyard.archives import ENCRYPTED_ZIP, sniff
from buildyard.contracts.builds import UploadKind
from buildyard.errors import InvalidUpload
from orchestrator.api.problems import unsupported

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CSV_TYPES = frozenset({"text/csv", "application/csv"})


def kind_of(first_bytes: bytes, filename: str, content_type: str) -> UploadKind:
    """The kind of an upload whose first bytes are these: all of a small file, at least the first line of a large one.

    Raises:
        InvalidUpload: (400) it is empty or an encrypted zip; (415) it is none of the kinds we read.
    """
    if not first_bytes:
        raise InvalidUpload("The file is empty.", remedy="Look whether the path given to the client is right.")
    sniffed = sniff(first_bytes)
    if sniffed == ENCRYPTED_ZIP:
        raise InvalidUpload("The zip is encrypted.", remedy="Pack it again without a password.")
    if sniffed is not None:
        return UploadKind(sniffed)
    if filename.lower().endswith(".csv") or content_type in _CSV_TYPES:
        _check_table(first_bytes)
        return UploadKind.CSV
    raise unsupported(
        "The file is no .zip, .tar.gz, .tar.zst or .csv by its first bytes.",
        remedy="Pack the sources, for example: tar czf src.tar.gz FOLDER",
    )


def _check_table(first_bytes: bytes) -> None:
    if first_bytes.startswith(_UTF16_MARKS) or b"\0" in first_bytes:
        raise unsupported("The CSV is not UTF-8 text.", remedy="Save it as UTF-8.")
    decoder = codecs.getincrementaldecoder("utf-8-sig")()  # a character may be cut at the end of the first bytes
    try:
        text = decoder.decode(first_bytes)
    except UnicodeDecodeError as error:
        raise unsupported(
            f"The CSV is not UTF-8 text: byte {error.start + 1} is wrong.", remedy="Save it as UTF-8."
        ) from error
    header = text.splitlines()[0] if text.splitlines() else ""
    if not header.strip(" \t,;") or any(ord(mark) < ord(" ") and mark != "\t" for mark in header):
        raise unsupported("The CSV does not begin with a line of column names.", remedy="Put a header line first.")
