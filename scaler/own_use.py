"""What this process itself uses of its machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

from buildyard.contracts.health import ProcessUse

_STATM = Path("/proc/self/statm")


def own_use() -> ProcessUse:
    """CPU and memory of this process until now; the memory is unknown where there is no /proc."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return ProcessUse(cpu_seconds=time.process_time())
    return ProcessUse(cpu_seconds=time.process_time(), memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"))
