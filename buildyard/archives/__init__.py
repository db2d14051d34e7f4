"""Archives in and out: unpack what a stranger sent, pack a folder to send.

The standard library's extractors follow links out of their folder on some supported Pythons, end silently at a
damaged header and read unbounded metadata into memory. So entries are read here one by one by strict readers, every
name is judged before anything is created, and files are written by this package alone, below directory descriptors.

    sniffing    first bytes -> kind                                     (pure)
    names       which entry names are allowed, twins, safe quoting      (pure)
    budget      limits, and the meter that enforces them
    decompress  gzip and zstd as bounded streams
    zip_reader, tar_reader   archive -> entries
    target      entries -> files, never outside the folder
    unpacking, packing       the two verbs

All calls block and are meant for threads; memory stays at a few MiB plus half a KiB for each entry
(two where names are as long as they may be), and the window of zstd, at most 128 MiB.
"""

from __future__ import annotations

from buildyard.archives.budget import Budget
from buildyard.archives.packing import Packed, measure, pack
from buildyard.archives.sniffing import ENCRYPTED_ZIP, TAR_GZ, TAR_ZST, ZIP, sniff
from buildyard.archives.unpacking import Extracted, extract

__all__ = [
    "ENCRYPTED_ZIP",
    "TAR_GZ",
    "TAR_ZST",
    "ZIP",
    "Budget",
    "Extracted",
    "Packed",
    "extract",
    "measure",
    "pack",
    "sniff",
]
