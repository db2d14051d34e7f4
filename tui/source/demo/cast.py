"""Who takes part in the demo: projects, pools, branches, and what their builds write."""

from __future__ import annotations

from random import Random
from typing import NamedTuple


class DemoPool(NamedTuple):
    """A pool and how many agents it may have."""

    name: str
    most: int
    share: float
    """Of all builds."""


POOLS = (DemoPool("linux", 280, 0.72), DemoPool("windows", 80, 0.18), DemoPool("docker", 40, 0.10))
PROJECTS = (
    "core",
    "web",
    "api",
    "billing",
    "search",
    "mobile",
    "docs",
    "infra",
    "reports",
    "importer",
    "gateway",
    "auth",
)
BRANCHES = (
    "main",
    "main",
    "main",
    "release/8.2",
    "feat/faster-start",
    "fix/[/x]",
    "fix/[red]colour[/red]",
    "日本語/ブランチ",
)
STAGES = (("Fetch", 2.0), ("Restore", 6.0), ("Build", 22.0), ("Test", 18.0), ("Package", 4.0), ("Publish", 3.0))
"""Stage and its usual seconds."""
TOOLCHAINS = ("dotnet", "python", "node", "go", "make")

_LINES = {
    "Fetch": ("remote: Enumerating objects: {n}, done.", "Receiving objects: {p}% ({n}/9120), 4.2 MiB"),
    "Restore": ("  Restored /work/src/Part{n}/Part{n}.csproj (in {p} ms).", "npm http fetch GET 200 {p}ms (cache hit)"),
    "Build": (
        "  Part{n} -> /work/out/Part{n}.dll",
        "\x1b[33mwarning CS8602\x1b[0m: Dereference of a possibly null reference. [Part{n}.csproj]",
        "[{p:3d}%] Building C object part{n}.o",
    ),
    "Test": (
        "  \x1b[32mPassed\x1b[0m Part{n}.Tests.Case{p} [{p} ms]",
        "tests/test_part{n}.py::test_case_{p} \x1b[32mPASSED\x1b[0m",
    ),
    "Package": ("Successfully created package '/work/out/Part{n}.1.0.{p}.nupkg'.",),
    "Publish": ("uploaded part{n}.zip ({p} KiB)",),
}
FAILURES = {
    "Build": "\x1b[31merror CS1002\x1b[0m: ; expected [/work/src/Part7/Part7.csproj]",
    "Test": "  \x1b[31mFailed\x1b[0m Part7.Tests.Case12: expected 4, got 5",
}


def line_of(stage: str, rng: Random) -> str:
    """Something that a build writes in a stage."""
    return rng.choice(_LINES[stage]).format(n=rng.randrange(1, 400), p=rng.randrange(1, 100))
