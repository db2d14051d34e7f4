"""Uploads whose first bytes are right: the producer takes them in, the worker that reads them whole refuses them."""

from __future__ import annotations

from dataclasses import dataclass

from buildyard.contracts.builds import ReasonCode, UploadKind
from tests.bad_input.uploads import EICAR
from tests.buildyard.archive_forge import ZipPart, gz, pax, tar_member, tar_of, zip_of, zst

_ARCHIVE, _CSV = ReasonCode.ARCHIVE_REFUSED, ReasonCode.CSV_REFUSED
_TAR = tar_of(tar_member("a", b"content" * 500), tar_member("b"))


@dataclass(frozen=True)
class Refused:
    """An upload, and how the build that begins with it ends."""

    name: str
    filename: str
    content: bytes
    kind: UploadKind
    code: ReasonCode
    words: str


def _zips(cases: dict[str, tuple[bytes, str]]) -> list[Refused]:
    return [Refused(f"zip: {n}", "src.zip", c, UploadKind.ZIP, _ARCHIVE, w) for n, (c, w) in cases.items()]


def _tars(cases: dict[str, tuple[bytes, str]]) -> list[Refused]:
    return [Refused(f"tar.gz: {n}", "src.tgz", c, UploadKind.TAR_GZ, _ARCHIVE, w) for n, (c, w) in cases.items()]


def _csvs(cases: dict[str, tuple[bytes, str]]) -> list[Refused]:
    return [Refused(f"CSV: {n}", "rows.csv", c, UploadKind.CSV, _CSV, w) for n, (c, w) in cases.items()]


def _one(part: ZipPart) -> bytes:
    return zip_of(ZipPart(b"good"), part)


def _cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


_ZIPS = _zips(
    {
        "cut off": (_cut(zip_of(ZipPart(b"a", data=b"x" * 999), ZipPart(b"b"))), "damaged"),
        "its beginning alone": (b"PK\x03\x04", "damaged"),
        "climbing": (_one(ZipPart(b"../evil")), "evil"),
        "absolute": (_one(ZipPart(b"/etc/evil")), "evil"),
        "climbing inside": (_one(ZipPart(b"a/../../evil")), "evil"),
        "drive": (_one(ZipPart(b"C:\\evil")), "evil"),
        "climbing in Windows' way": (_one(ZipPart(b"..\\evil")), "evil"),
        "NUL in a name": (_one(ZipPart(b"a\0b")), "control characters"),
        "a link": (_one(ZipPart(b"link", mode=0o120777)), "is a link"),
        "a pipe": (_one(ZipPart(b"pipe", mode=0o010644)), "device or pipe"),
        "twins by case": (zip_of(ZipPart(b"Readme"), ZipPart(b"README")), "README"),
        "encrypted later": (_one(ZipPart(b"a", flags=1)), "is encrypted"),
        "wrong checksum": (_one(ZipPart(b"a", crc=1)), "checksum is wrong"),
        "lying about its size": (_one(ZipPart(b"a", size=1)), "larger than it says"),
        "bomb": (zip_of(ZipPart(b"zeros", data=bytes(120 * 2**20))), "times its size"),
        "overlapping": (zip_of(ZipPart(b"a"), ZipPart(b"b", offset=0)), "b"),
        "more entries than it has": (zip_of(ZipPart(b"a"), count=9), "entries"),
    }
)
_TARS = _tars(
    {
        "cut off": (_cut(gz(_TAR)), "damaged"),
        "its beginning alone": (b"\x1f\x8b\x08", "damaged"),
        "no tar inside": (gz(b"hello\n"), "no tar archive inside"),
        "EICAR inside gzip": (gz(EICAR), "no tar archive inside"),
        "wrong checksum": (gz(_TAR)[:-8] + bytes(8), "damaged"),
        "climbing": (gz(tar_of(tar_member("../evil"))), "evil"),
        "a link": (gz(tar_of(tar_member("link", b"", type=b"2", linkname="/etc/passwd"))), "link"),
        "a hard link": (gz(tar_of(tar_member("link", b"", type=b"1", linkname="../../../etc/passwd"))), "link"),
        "a device": (gz(tar_of(tar_member("null", b"", type=b"3"))), "device"),
        "a name in PAX": (gz(tar_of(pax({"path": "../evil"}), tar_member("a"))), "evil"),
        "bomb": (gz(tar_of(tar_member("zeros", bytes(120 * 2**20)))), "times its size"),
    }
)
_ZSTS = [
    Refused("tar.zst: cut off", "src.tar.zst", _cut(zst(_TAR)), UploadKind.TAR_ZST, _ARCHIVE, "damaged"),
    Refused("tar.zst: its beginning alone", "src.tzst", b"\x28\xb5\x2f\xfd", UploadKind.TAR_ZST, _ARCHIVE, "damaged"),
]
_CSVS = _csvs(
    {
        "too few fields": (b"id,text\n1\n", "Row 1 of the CSV has 1 fields"),
        "too many fields": (b"id,text\n1,a\n2,b,c\n", "Row 2 of the CSV has 3 fields"),
        "header alone": (b"id,text\n", "no rows"),
        "header and a blank line": (b"id,text\n\n\n", "no rows"),
        "a name twice": (b"id,id\n1,2\n", "names the column 'id' twice"),
        "a name twice but for space": (b"id, id\n1,2\n", "names the column 'id' twice"),
        "a column without a name": (b"id,,x\n1,2,3\n", "Column 2 of the CSV has no name"),
        "not UTF-8 in a row": (b"id,text\n1,\xff\n", "Line 2 of the CSV is not UTF-8"),
        "field of 1 MB": (b"id,text\n1," + b"x" * 2**20 + b"\n", "field"),
        "row of many long fields": (b"a,b,c\n" + b",".join([b"x" * 100_000] * 3) + b"\n", "more than 262,144"),
        "quote that never ends": (b'id,text\n1,"a\n2,b\n', "cannot be read"),
        "quote in the middle": (b'id,text\n1,"a"b\n', "cannot be read"),
        "1001 columns": (",".join(f"c{n}" for n in range(1001)).encode() + b"\n", "1,001 columns"),
        "line of 9 MB": (b"id,text\n1," + b"x," * (9 * 2**19) + b"\n", "longer than 8,388,608 bytes"),
        "EICAR": (EICAR, "no rows"),
    }
)  # fmt: skip
REFUSED_LATER = (
    *_ZIPS,
    *_TARS,
    *_ZSTS,
    *(one for one in _CSVS if len(one.content) < 2_000_000 and b"\xff" not in one.content),
)
"""Those that the producer, which sees the first MiB of a CSV, takes in."""
REFUSED_BY_A_WORKER = (*_ZIPS, *_TARS, *_ZSTS, *_CSVS)
