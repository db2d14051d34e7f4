"""Which kind of archive a file is, told from its first bytes and never from its name."""

from __future__ import annotations

ZIP = "zip"
TAR_GZ = "tar.gz"
TAR_ZST = "tar.zst"
ENCRYPTED_ZIP = "encrypted-zip"

_ENCRYPTED_FLAG = 0x01  # bit 0 of the flags, bytes 6 and 7 of a local header


def sniff(first_bytes: bytes) -> str | None:
    """Name the kind that `first_bytes` begin, or None.

    Four bytes suffice; with eight or more, a zip whose first entry is encrypted is told as `encrypted-zip`.
    `tar.gz` and `tar.zst` only promise gzip and zstd: what is inside shows when it is read.
    """
    if first_bytes.startswith(b"PK\x03\x04"):
        encrypted = len(first_bytes) > 6 and first_bytes[6] & _ENCRYPTED_FLAG  # noqa: PLR2004 - see above
        return ENCRYPTED_ZIP if encrypted else ZIP
    if first_bytes.startswith(b"PK\x05\x06"):  # the end record alone: an empty zip
        return ZIP
    if first_bytes.startswith(b"\x1f\x8b\x08"):
        return TAR_GZ
    if first_bytes.startswith(b"\x28\xb5\x2f\xfd"):
        return TAR_ZST
    if first_bytes[1:4] == b"\x2a\x4d\x18" and first_bytes[0] & 0xF0 == 0x50:  # noqa: PLR2004 - skippable frame
        return TAR_ZST
    return None
