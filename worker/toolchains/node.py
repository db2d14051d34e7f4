"""Node projects: npm, or pnpm or yarn where their lock file is; scripts build and test; the package is packed."""

from __future__ import annotations

import re
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.package_json import PackageJson, read_package_json
from worker.toolchains.places import DEEPEST, DEPTH_PENALTY, base_name, depth, folder, join, nearest, place

_SCORE = 72
_FILE = "package.json"
_LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "package-lock.json": "npm", "npm-shrinkwrap.json": "npm"}
_REPORT = "node-tests.xml"
_JUNIT_PLACES = ("junit.xml", "reports/*.xml", "test-results/**/*.xml")
_NODE_WITH_JUNIT = 20
_QUIET = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "npm_config_progress": "false",
    "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
    "YARN_ENABLE_TELEMETRY": "0",
    "DISABLE_OPENCOLLECTIVE": "1",
    "NEXT_TELEMETRY_DISABLED": "1",
}
_PROBLEM = re.compile(
    r"npm (?P<npm>WARN|warn|ERR! code|error code) "
    r"|\(node:\d{1,9}\) .{0,80}?(?P<node>Warning): "
    r"|\S{1,500}(?:\(\d{1,9},\d{1,9}\): |:\d{1,9}:\d{1,9} - )(?P<tsc>error|warning) TS\d"
    r"|(?P<thrown>(?:[A-Z]\w{0,60})?Error)(?: \[\w{1,80}\])?: "
)


class NodeToolchain:
    """The package manager whose lock file is there, and the scripts of package.json."""

    name = "node"
    tools = ("node", "npm", "pnpm", "yarn")
    compilers: tuple[Family, ...] = ("typescript", "eslint", "node")

    def wanted(self, path: str) -> bool:
        """The package.json of what may be the project."""
        return base_name(path) == _FILE and depth(path) <= DEEPEST and "node_modules/" not in path

    def detect(self, tree: FileTree) -> Detection | None:
        """By the nearest package.json; the lock file beside it names the package manager."""
        found = nearest(tree, _FILE.__eq__)
        if not found:
            return None
        root = folder(found[0])
        manager = _manager(tree, root)
        needs = ("node", "npm") if manager == "npm" else ("node", manager)
        lock = next((f" with {lock}" for lock in _LOCKS if tree.has(join(root, lock))), "")
        score = _SCORE - DEPTH_PENALTY * depth(found[0])
        return Detection(self.name, score, f"{_FILE} is {place(root)}{lock}", root, needs)

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage. Raises InvalidRequest when `package.json` cannot be read."""
        return _Plans(context).plan(stage)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The packed package; `dist/` comes by itself where the project is at the top."""
        root = context.detection.root
        built = (ArtifactGlob(f"{root}/dist/**", strip=root),) if root != "." else ()
        return (ArtifactGlob("*.tgz", "out"), *built)

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What Node's runner writes, else where other runners usually leave JUnit; not what lay there before."""
        places = (join(context.detection.root, pattern) for pattern in _JUNIT_PLACES)
        fresh = (pattern for pattern in places if not any(context.tree.matching(pattern)))
        return (ReportGlob("junit", _REPORT), *(ReportGlob("junit", pattern, "source") for pattern in fresh))

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Problems of npm (one for each), Node's warnings, thrown errors, and TypeScript's diagnostics."""
        found = _PROBLEM.match(line)
        if found is None:
            return None
        kind = (found["npm"] or found["node"] or found["tsc"] or "error").lower()
        return "warning" if kind.startswith("warn") else "error"


def _manager(tree: FileTree, root: str) -> str:
    return next((manager for lock, manager in _LOCKS.items() if tree.has(join(root, lock))), "npm")


class _Plans:
    """The commands for one source."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._root = context.detection.root
        self._manager = _manager(context.tree, self._root)
        path = join(self._root, _FILE)
        text = context.tree.text(path)
        self._package = read_package_json(path, text) if text else PackageJson()

    def plan(self, stage: StageName) -> StagePlan:
        match stage:
            case StageName.RESTORE:
                return StagePlan(stage, (self._command(stage, *self._install()),))
            case StageName.BUILD:
                if not self._package.scripts.get("build"):
                    return StagePlan(stage, skip_reason=f"{_FILE} has no build script.")
                return StagePlan(stage, (self._command(stage, "run", "build"),))
            case StageName.TEST:
                return self._test()
            case _:
                return self._pack()

    def _install(self) -> tuple[str, ...]:
        if self._manager == "pnpm":
            return ("install", "--frozen-lockfile")
        if self._manager == "yarn":
            return ("install", "--immutable" if self._is_new_yarn else "--frozen-lockfile")
        locked = any(self._has(lock) for lock in ("package-lock.json", "npm-shrinkwrap.json"))
        return ("ci",) if locked else ("install", "--no-package-lock")

    def _test(self) -> StagePlan:
        stage = StageName.TEST
        if not self._package.has_test:
            return StagePlan(stage, skip_reason=f"{_FILE} has no test script.")
        if self._package.tests_by_node and self._node_writes_junit:
            env = {"NODE_OPTIONS": _reporters(f"{self._context.out}/{_REPORT}")}
            return StagePlan(stage, (self._command(stage, "test", env=env, tests_fail_on=(1,)),))
        title = f"{self._manager} test"
        return StagePlan(stage, (self._command(stage, "test", tests_fail_on=(1,), test_case=title),))

    def _pack(self) -> StagePlan:
        stage, properties, out = StageName.PACKAGE, self._context.properties, self._context.out
        if not (properties.create_packages or (properties.publish_artifacts and not self._package.is_private)):
            private = properties.publish_artifacts
            reason = f"{_FILE} says private; createPackages packs it." if private else "The request asks for none."
            return StagePlan(stage, skip_reason=reason)
        if not self._package.packs:
            return StagePlan(stage, skip_reason=f"{_FILE} lacks the name or the version that a package needs.")
        where = {"npm": ("--pack-destination", out), "pnpm": ("--pack-destination", out)}.get(
            self._manager, ("--out" if self._is_new_yarn else "--filename", f"{out}/package.tgz")
        )
        return StagePlan(stage, (self._command(stage, "pack", *where),))

    @property
    def _node_writes_junit(self) -> bool:
        major = self._context.tool_versions.get("node", "").partition(".")[0]
        return major.isdigit() and int(major) >= _NODE_WITH_JUNIT

    @property
    def _is_new_yarn(self) -> bool:
        return self._has(".yarnrc.yml")

    def _has(self, name: str) -> bool:
        return self._context.tree.has(join(self._root, name))

    def _command(
        self,
        stage: StageName,
        *arguments: str,
        env: dict[str, str] | None = None,
        tests_fail_on: tuple[int, ...] = (),
        test_case: str = "",
    ) -> Command:
        return Command(
            (self._context.tools.get(self._manager, self._manager), *arguments),
            stage,
            f"{self._manager} {' '.join(arguments[:2])}",
            cwd=self._root,
            env={**_QUIET, **(env or {})},
            tests_fail_on=tests_fail_on,
            test_case=test_case,
            prints="tap" if test_case else None,
        )


def _reporters(report: str) -> str:
    """Node's options for JUnit in a file and text for people; as options of a variable they reach it through npm."""
    quoted = report.replace("\\", "\\\\").replace('"', '\\"')
    return (
        "--test-reporter=spec --test-reporter-destination=stdout "
        f'--test-reporter=junit "--test-reporter-destination={quoted}"'
    )
