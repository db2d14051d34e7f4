"""Rust projects: cargo fetch, build and test, .crate packages."""

from __future__ import annotations

import re
from typing import Any, Literal

from buildyard.contracts.builds import StageName
from buildyard.project.toml_text import read_toml
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, join, nearest, own_files, place

_MANIFEST = "Cargo.toml"
_SCORE = 74
_NAME = re.compile(r"[\w-]{1,100}")
_LIBRARIES = ("*.so", "*.dylib", "*.dll")
_ENVIRONMENT = {"CARGO_TERM_COLOR": "never", "CARGO_TERM_PROGRESS_WHEN": "never", "CARGO_INCREMENTAL": "0"}
_FAILED = 101  # cargo's one code for failed tests and its own errors; the printed results tell them apart
_PROBLEM = re.compile(r"(warning|error)(?:\[\w+\])?: (.*)")
_SUMMARY = re.compile(
    r".* generated \d+ warnings?|could not compile |aborting due to |build failed, |test failed, |doctest failed, "
    r"|\d+ targets? failed:"
)


class CargoToolchain:
    """cargo, with results of libtest."""

    name = "cargo"
    tools = ("cargo",)
    compilers: tuple[Family, ...] = ("rustc", "gcc")

    def wanted(self, path: str) -> bool:
        """The manifests."""
        return base_name(path) == _MANIFEST

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest Cargo.toml."""
        found = nearest(tree, _MANIFEST.__eq__)
        if not found:
            return None
        root = folder(found[0])
        why = f"{_MANIFEST} is {place(root)}"
        return Detection(self.name, _SCORE - DEPTH_PENALTY * depth(found[0]), why, root, self.tools)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage. Raises InvalidRequest when a Cargo.toml cannot be read."""
        return _Plans(context).plan(stage)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The programs by their names, shared libraries, and .crate packages."""
        return _Plans(context).artifacts()

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """None: stable Rust only prints its results."""
        del context
        return ()

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """The diagnostics of rustc and cargo, without the lines that sum them up."""
        found = _PROBLEM.match(line)
        if found is None or _SUMMARY.match(found.group(2)):
            return None
        return "warning" if found.group(1) == "warning" else "error"


class _Plans:
    """The commands for one source."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._root = context.detection.root
        paths = [path for path in own_files(context.tree, self._root) if base_name(path) == _MANIFEST]
        self._manifests = {folder(path): read_toml(path, context.tree.text(path)) for path in paths}
        debug = context.properties.configuration.lower() == "debug"
        self._profile: tuple[str, ...] = () if debug else ("--release",)
        self._made = f"target/{'debug' if debug else 'release'}"
        self._target = ("--target-dir", f"{context.out}/target")

    def plan(self, stage: StageName) -> StagePlan:
        match stage:
            case StageName.RESTORE:
                return StagePlan(stage, (self._cargo(stage, "fetch", ()),))
            case StageName.BUILD:
                how = (*self._profile, *self._kinds(), *self._jobs, "--workspace", *self._target)
                return StagePlan(stage, (self._cargo(stage, "build", how),))
            case StageName.TEST:
                how = (*self._profile, *self._jobs, "--workspace", "--no-fail-fast", *self._target)
                return StagePlan(stage, (self._cargo(stage, "test", how),))
            case _:
                return self._package()

    def artifacts(self) -> tuple[ArtifactGlob, ...]:
        names = sorted(
            {name for where, manifest in self._manifests.items() for name in self._programs(where, manifest)}
        )
        files = [file for name in names for file in (name, f"{name}.exe")] + list(_LIBRARIES)
        programs = (ArtifactGlob(f"{self._made}/{file}", "out", self._made) for file in files)
        return (*programs, ArtifactGlob("target/package/*.crate", "out", "target"))

    def _package(self) -> StagePlan:
        stage = StageName.PACKAGE
        if not self._context.properties.create_packages:
            return StagePlan(stage, skip_reason="The request asks for no packages; the programs are made by Build.")
        # the build has verified what is packed; fetch may have written a Cargo.lock that git does not know
        how = ("--workspace", "--no-verify", "--allow-dirty", *self._target)
        return StagePlan(stage, (self._cargo(stage, "package", how),))

    def _kinds(self) -> tuple[str, ...]:
        """With tests, everything in one call, so that a warning is told once; else what cargo builds by itself."""
        if not self._context.properties.run_tests:
            return ()
        manifests = self._manifests.items()
        library = any("lib" in one or self._has(where, "src/lib.rs") for where, one in manifests)
        programs = any(self._programs(where, one) for where, one in manifests)
        return (*(("--lib",) if library else ()), *(("--bins",) if programs else ()), "--tests")

    def _programs(self, where: str, manifest: dict[str, Any]) -> list[str]:
        """The programs of one package: src/main.rs, those in src/bin, and the [[bin]] tables."""
        package, tables = manifest.get("package"), manifest.get("bin")
        names = [package.get("name")] if isinstance(package, dict) and self._has(where, "src/main.rs") else []
        names += [table.get("name") for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
        below = join(where, "src/bin/")
        inside = (path.removeprefix(below) for path in self._context.tree.files if path.startswith(below))
        names += [
            path.removesuffix("/main.rs").removesuffix(".rs")
            for path in inside
            if path.endswith("/main.rs") or ("/" not in path and path.endswith(".rs"))
        ]
        return [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]

    @property
    def _jobs(self) -> tuple[str, str]:
        return ("--jobs", str(self._context.cores))

    def _has(self, where: str, name: str) -> bool:
        return self._context.tree.has(join(where, name))

    def _cargo(self, stage: StageName, verb: str, arguments: tuple[str, ...]) -> Command:
        locked = ("--locked",) if self._has(self._root, "Cargo.lock") else ()
        argv = (self._context.tools.get("cargo", "cargo"), verb, *locked, *arguments)
        tests = stage is StageName.TEST
        return Command(
            argv,
            stage,
            f"cargo {verb}",
            cwd=self._root,
            env=_ENVIRONMENT,
            tests_fail_on=(_FAILED,) if tests else (),
            prints="libtest" if tests else None,
        )
