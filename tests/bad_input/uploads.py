"""Uploads that the producer itself refuses, and file names that it takes the teeth out of."""

from __future__ import annotations

import codecs

from tests.bad_input.cases import BELOW, Case, group
from tests.bad_input.raw_http import FormPart, field_part, file_part, form, head, post_form, request, upload
from tests.bad_input.running import UPLOAD_MAX_BYTES
from tests.buildyard.archive_forge import ZipPart, gz, tar_member, tar_of, zip_of

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GOOD = gz(tar_of(tar_member("Makefile", b"all:\n\ttrue\n")))
_ZIP = zip_of(ZipPart(b"a"))
_BODY = form(file_part(GOOD))
_FORM = "multipart/form-data; boundary=b"
_KEPT = form(field_part("projectName", "x"), file_part(GOOD))
_REPOSITORY = '{"job": {"repositoryUrl": "https://github.com/a/b"}}'
_TOO_MUCH = form(file_part(b"\x1f\x8b\x08" + bytes(UPLOAD_MAX_BYTES)))
_DEEP = "[" * 50_000 + "]" * 50_000


def _fields(*pairs: tuple[str, str | bytes]) -> bytes:
    return upload(GOOD, "a", *[field_part(name, value) for name, value in pairs])


def _with_length(length: str, body: bytes = _BODY) -> bytes:
    return request("POST", "/upload", {"Content-Type": _FORM, "Content-Length": length}, body)


def _chunked(*lines: bytes, more: str = "chunked") -> bytes:
    sent = request("POST", "/upload", {"Content-Type": _FORM, "Transfer-Encoding": more})
    return sent + b"".join(lines)


def _part(disposition: str | bytes, *more: str, content: bytes = GOOD) -> bytes:
    return post_form(form(FormPart(disposition, content, more)))


_WORD, _BROKEN, _WRONG = "unsupported_type", "unreadable_body", "invalid_request"
_NO_KIND = "no .zip, .tar.gz, .tar.zst or .csv"

SHAPES = group(
    "form",
    [
        ("no body", post_form(b""), 400, _BROKEN, "ends before its closing boundary"),
        ("no content type", post_form(_BODY, kind=None), 415, _WORD, "multipart form"),
        ("empty content type", post_form(_BODY, kind=""), 415, _WORD, "multipart form"),
        ("JSON", post_form(b"{}", kind="application/json"), 415, _WORD, "multipart form"),
        ("url-encoded", post_form(b"file=x", kind="application/x-www-form-urlencoded"), 415, _WORD, "multipart form"),
        ("multipart/mixed", post_form(_BODY, kind="multipart/mixed; boundary=b"), 415, _WORD, "multipart form"),
        ("no boundary", post_form(_BODY, kind="multipart/form-data"), 400, _BROKEN, "no usable boundary"),
        ("empty boundary", post_form(_BODY, kind="multipart/form-data; boundary="), 400, _BROKEN, "boundary"),
        ("long boundary", post_form(_BODY, kind=f"{_FORM}{'b' * 300}"), 400, _BROKEN, "no usable boundary"),
        ("other boundary", post_form(_BODY, kind=f"{_FORM}c"), 400, _BROKEN, "form is broken"),
        ("no closing boundary", post_form(form(file_part(GOOD), end=b"")), 400, _BROKEN, "ends before"),
        ("half a boundary", post_form(form(file_part(GOOD), end=b"--b")), 400, _BROKEN, "ends before"),
        ("line feeds only", post_form(_BODY.replace(b"\r\n", b"\n")), 400, _BROKEN, "form is broken"),
        ("noise first", post_form(b"noise\r\n" + _BODY), 400, _BROKEN, "form is broken"),
        ("only a closing boundary", post_form(b"--b--\r\n"), 400, _BROKEN, "no field `file`"),
        ("no file", post_form(form(field_part("projectName", "x"))), 400, _BROKEN, "no field `file`"),
        ("two files", post_form(form(file_part(GOOD), file_part(GOOD))), 400, _BROKEN, "more than one field"),
        ("a file as `src`", _part('name="src"; filename="a.zip"'), 400, _BROKEN, "sends a file as 'src'"),
        ("a file as no name", _part('filename="a.zip"'), 400, _BROKEN, "form is broken"),
        ("attachment", post_form(_BODY.replace(b"form-data; n", b"attachment; n")), 400, _BROKEN, "broken"),
        ("part without headers", post_form(b"--b\r\n\r\nx\r\n--b--\r\n"), 400, _BROKEN, "form is broken"),
        ("300 fields", upload(GOOD, "a.tgz", *[field_part(f"f{n}", "") for n in range(300)]), 413, "too_large", "200"),
        ("2 MB of fields", upload(GOOD, "a.tgz", field_part("projectName", b"x" * 2**21)), 413, "too_large", "fields"),
        ("long field name", upload(GOOD, "a", field_part("n" * 9000, "")), 400, _BROKEN, "form is broken"),
        ("huge part header", _part('name="file"', f"X: {'x' * 70_000}"), 400, _BROKEN, "form is broken"),
        ("1000 part headers", _part('name="file"', *["X: x"] * 1000), 400, _BROKEN, "form is broken"),
        ("header without colon", _part('name="file"', "nonsense"), 400, _BROKEN, "form is broken"),
        ("NUL in a header name", _part('name="file"', "X\0: x"), 400, _BROKEN, "form is broken"),
        (
            "nested multipart",
            _part('name="file"', "Content-Type: multipart/mixed", content=_BODY),
            415,
            _WORD,
            _NO_KIND,
        ),
        ("base64", _part('name="file"; filename="a.zip"', content=codecs.encode(_ZIP, "base64")), 415, _WORD, _NO_KIND),
    ],
)

FIELDS = group(
    "field",
    [
        ("unknown", _fields(("colour", "red")), 422, _WRONG, "not a known field"),
        ("twice", _fields(("projectName", "x"), ("projectName", "x")), 422, _WRONG, "given twice"),
        ("in both spellings", _fields(("runTests", "1"), ("run_tests", "0")), 422, _WRONG, "given twice"),
        ("a repository", _fields(("gitUrl", "https://github.com/a/b")), 422, _WRONG, "takes no repository"),
        ("a repository inside `request`", _fields(("request", _REPOSITORY)), 422, _WRONG, "takes no repository"),
        ("`request` is no JSON", _fields(("request", "{")), 400, _BROKEN, "not JSON"),
        ("`request` is a list", _fields(("request", "[]")), 422, _WRONG, "JSON object"),
        ("`job` is a number", _fields(("request", '{"job":1}')), 422, _WRONG, "must be an object"),
        ("`request` has a name twice", _fields(("request", '{"job":{},"job":{}}')), 400, _BROKEN, "twice"),
        ("metadata is no JSON", _fields(("metadata", "x")), 400, _BROKEN, "not JSON"),
        ("metadata is a list", _fields(("metadata", "[]")), 422, _WRONG, "must be an object"),
        ("metadata is very deep", _fields(("metadata", _DEEP)), 400, _BROKEN, "nested too deep"),
        ("NUL", _fields(("projectName", b"a\0b")), 400, _BROKEN, "NUL"),
        ("not UTF-8", _fields(("projectName", b"\xff")), 422, _WRONG, "not UTF-8"),
        ("name with markup", _fields(("projectName", "<script>")), 422, _WRONG, "projectName"),
        ("timeout `NaN`", _fields(("timeoutMinutes", "NaN")), 422, _WRONG, "finite number"),
        ("timeout `soon`", _fields(("timeoutMinutes", "soon")), 422, _WRONG, "must be a number"),
        ("runTests `maybe`", _fields(("runTests", "maybe")), 422, _WRONG, "true or false"),
        ("a field with a kept upload", post_form(_KEPT, "/api/v1/jobs"), 422, _WRONG, "belongs to the start"),
    ],
)  # fmt: skip

BYTES = group(
    "file",
    [
        ("0 bytes", upload(b""), 400, "invalid_upload", "The file is empty"),
        ("0 bytes, kept", post_form(form(file_part(b"")), "/api/v1/jobs"), 400, "invalid_upload", "The file is empty"),
        ("EICAR", upload(EICAR, "eicar.com"), 415, _WORD, _NO_KIND),
        ("text", upload(b"hello\n", "src.zip"), 415, _WORD, _NO_KIND),
        ("plain tar", upload(tar_of(tar_member("a")), "src.tar"), 415, _WORD, _NO_KIND),
        ("bzip2", upload(b"BZh91AY&SY", "src.tar.bz2"), 415, _WORD, _NO_KIND),
        ("xz", upload(b"\xfd7zXZ\0", "src.tar.xz"), 415, _WORD, _NO_KIND),
        ("7z", upload(b"7z\xbc\xaf\x27\x1c", "src.7z"), 415, _WORD, _NO_KIND),
        ("rar", upload(b"Rar!\x1a\7\1\0", "src.rar"), 415, _WORD, _NO_KIND),
        ("ELF", upload(b"\x7fELF\2\1\1", "src.tar.gz"), 415, _WORD, _NO_KIND),
        ("PE", upload(b"MZ\x90\0", "setup.exe"), 415, _WORD, _NO_KIND),
        ("PNG as CSV", upload(b"\x89PNG\r\n\x1a\n\0\0", "rows.csv"), 415, _WORD, "not UTF-8"),
        ("PDF", upload(b"%PDF-1.7\n", "a.pdf"), 415, _WORD, _NO_KIND),
        ("pickle", upload(b"\x80\5cos\nsystem\n", "a.pkl"), 415, _WORD, _NO_KIND),
        ("JSON", upload(b"{}", "a.json"), 415, _WORD, _NO_KIND),
        ("encrypted zip", upload(zip_of(ZipPart(b"a", flags=1)), "a.zip"), 400, "invalid_upload", "encrypted"),
        ("zip behind a script", upload(b"#!/bin/sh\n" + _ZIP, "a.zip"), 415, _WORD, _NO_KIND),
        ("zip behind a GIF", upload(b"GIF89a" + _ZIP, "a.gif"), 415, _WORD, _NO_KIND),
        ("zip behind HTML", upload(b"<script>alert(1)</script>" + _ZIP, "a.html"), 415, _WORD, _NO_KIND),
        ("too large", upload(b"\x1f\x8b\x08" + bytes(UPLOAD_MAX_BYTES)), 413, "too_large", "larger than 2000000 bytes"),
        ("too large by its length", _with_length("9000000"), 413, "too_large", "larger than 2000000 bytes"),
        (
            "too large in chunks",
            _chunked(b"%x\r\n%b\r\n" % (len(_TOO_MUCH), _TOO_MUCH)),
            413, "too_large", "larger than 2000000 bytes",
        ),
        ("CSV in UTF-16", upload("id,x\n1,2\n".encode("utf-16"), "a.csv"), 415, _WORD, "not UTF-8"),
        ("CSV in UTF-16 without a mark", upload("id,x\n".encode("utf-16-le"), "a.csv"), 415, _WORD, "not UTF-8"),
        ("CSV in Latin-1", upload("näme,x\n1,2\n".encode("latin-1"), "a.csv"), 415, _WORD, "byte 2 is wrong"),
        ("CSV with NUL", upload(b"id,x\n1,\0\n", "a.csv"), 415, _WORD, "not UTF-8"),
        ("CSV of white space", upload(b" \n \n", "a.csv"), 415, _WORD, "line of column names"),
        ("CSV of commas", upload(b",,,\n1,2,3\n", "a.csv"), 415, _WORD, "line of column names"),
        ("CSV with escape codes", upload(b"\x1b[2Jid,x\n1,2\n", "a.csv"), 415, _WORD, "line of column names"),
        ("CSV of a mark alone", upload(codecs.BOM_UTF8, "a.csv"), 415, _WORD, "line of column names"),
    ],
)  # fmt: skip

_SMUGGLED = b"0\r\n\r\nGET /api/v1/pools HTTP/1.1\r\nHost: evil\r\n\r\n"
LENGTHS = (
    *group(
        "length",
        [
            ("shorter than the body", _with_length("60"), 400, _BROKEN, "ends before its closing boundary"),
            ("negative", _with_length("-1"), 400, BELOW, "Invalid HTTP"),
            ("a word", _with_length("many"), 400, BELOW, "Invalid HTTP"),
            ("with a sign", _with_length("+10"), 400, BELOW, "Invalid HTTP"),
            ("two lengths", _with_length("10, 20"), 400, BELOW, "Invalid HTTP"),
            ("40 digits", _with_length("9" * 40), 400, BELOW, "Invalid HTTP"),
            ("chunk of no number", _chunked(b"zz\r\nabc\r\n"), 400, BELOW, "Invalid HTTP"),
            ("chunk of a huge number", _chunked(b"F" * 30 + b"\r\n"), 400, BELOW, "Invalid HTTP"),
            ("gzip as transfer", _chunked(_BODY, more="gzip, chunked"), 400, BELOW, "Invalid HTTP"),
            ("unknown transfer", _chunked(_BODY, more="identity"), 400, BELOW, "Invalid HTTP"),
            (
                "length and chunks",
                head("POST", "/upload", "Host: 127.0.0.1", "Content-Length: 6", "Transfer-Encoding: chunked")
                + _SMUGGLED,
                401, "unauthorized", "needs a token",
            ),
        ],
    ),
    Case("length: longer than the body", _with_length(str(len(_BODY) + 9)), 0, "", "", leave=True),
    Case("length: of no JSON", request("POST", "/api/v1/builds", {"Content-Length": "99"}), 0, "", "", leave=True),
)  # fmt: skip

FILENAMES: dict[str, tuple[str | bytes, str]] = {
    "climbing": ('filename="../../etc/passwd.zip"', "passwd.zip"),
    "climbing in Windows' way": (r'filename="..\..\boot.zip"', "boot.zip"),
    "absolute": ('filename="/etc/cron.d/x.zip"', "x.zip"),
    "drive": (r'filename="C:\Windows\x.zip"', "x.zip"),
    "dots": ('filename=".."', ".."),
    "empty": ('filename=""', ""),
    "encoded line break": ('filename="a%0d%0aSet-Cookie: x=1.zip"', "a%0d%0aSet-Cookie: x=1.zip"),
    "NUL": (b'filename="a\0b.zip"', "a_b.zip"),
    "escape codes": (b'filename="a\x1b[2Jb.zip"', "a_[2Jb.zip"),
    "right to left": ('filename="a\u202egpj.zip"', "a_gpj.zip"),
    "unicode": ('filename="Größe-😀.zip"', "Größe-😀.zip"),
    "not UTF-8": (b'filename="a\xffb.zip"', "a\ufffdb.zip"),
    "4 KB": (f'filename="{"a" * 4000}.zip"', "a" * 200),
    "markup": ('filename="<img src=x onerror=alert(1)>.zip"', "<img src=x onerror=alert(1)>.zip"),
    "formula": ('filename="=cmd|calc!A1.zip"', "=cmd|calc!A1.zip"),
}  # fmt: skip
"""What a client says the file is called -> what it is called from then on."""


def named(disposition: str | bytes) -> bytes:
    """An upload whose file has this name."""
    told = disposition.encode() if isinstance(disposition, str) else disposition
    return post_form(form(FormPart(b'name="file"; ' + told, _ZIP)))


UPLOADS = (*SHAPES, *FIELDS, *BYTES, *LENGTHS)
