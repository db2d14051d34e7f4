"""Whether an agent has what a build needs, and what it lacks in words."""

from __future__ import annotations

from buildyard.contracts.agents import Capabilities
from buildyard.contracts.needs import Needs, fits, size_bytes


def unmet(needs: Needs, present: Capabilities, who: str = "it") -> tuple[str, ...]:
    """What an agent with these capabilities lacks, each as a clause such as `dotnet >=8 (it has 3.1.102)`."""
    lacks = []
    for tool, versions in sorted(needs.tools.items()):
        found = present.tools.get(tool)
        if found is None:
            lacks.append(f"{tool} {versions}".strip() + f" ({who} has none)")
        elif not fits(versions, found):
            lacks.append(f"{tool} {versions} ({who} has {found or 'an unknown version'})")
    for what, wanted, have in (("system", needs.os, present.os), ("processor", needs.arch, present.arch)):
        if wanted and wanted != have.lower():
            lacks.append(f"the {what} {wanted} ({who} has {have or 'another'})")
    if needs.cores and present.cores < needs.cores:
        lacks.append(f"{needs.cores:g} cores ({who} has {present.cores:g})")
    for what, size, present_bytes in (
        ("memory", needs.memory, present.memory_bytes),
        ("disk", needs.disk, present.disk_bytes),
    ):
        if size and present_bytes < size_bytes(size):
            lacks.append(f"{size} of {what} ({who} has {present_bytes / 2**30:.1f} GiB)")
    return tuple(lacks)
