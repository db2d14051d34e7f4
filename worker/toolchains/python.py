"""Python projects: a virtual environment with pip, or as uv.lock or poetry.lock say; wheels; pytest."""

from __future__ import annotations

import re
from typing import Literal

from buildyard.contracts.builds import StageName
from worker.toolchains.compilers import Family
from worker.toolchains.contract import ArtifactGlob, BuildContext, Command, Detection, FileTree, ReportGlob, StagePlan
from worker.toolchains.places import DEPTH_PENALTY, base_name, depth, folder, join, nearest, own_files, place
from worker.toolchains.pyproject import Pyproject, read_pyproject
from worker.toolchains.python_locked import LOCKERS, Locked, Locker

_MARKERS = {"pyproject.toml": 80, "setup.py": 78, "setup.cfg": 76, "requirements.txt": 45}
_SCRIPTS_SCORE = 10
_OTHER_KINDS = frozenset({"package.json", "go.mod", "Cargo.toml", "pom.xml", "build.gradle", "build.gradle.kts"})
_REQUIREMENTS = ("requirements.txt",)
_TEST_REQUIREMENTS = (
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements-dev.txt",
    "requirements_test.txt",
    "requirements_dev.txt",
    "test-requirements.txt",
    "dev-requirements.txt",
)
_NOT_COMPILED = r"(^|/)(\.[^/]+|venv|env|node_modules|build|dist)/"
_TEST_FILE = re.compile(r"test_.*\.py|.*_test\.py")
_WARNING = re.compile(r"\s*(?:WARNING:|warning:|(?:\S+:\d+: )?\w*Warning: )")
_ERROR = re.compile(r"(?:ERROR\b|error:|E   |[\w.]*(?:Error|Exception)(?::|$))")

_NEEDS = ("python",)

# pytest: 1 = some tests failed, 2 = test files could not be imported; 5 = none were found, a failed command
_TESTS_FAIL_ON = (1, 2)


class PythonToolchain:
    """pip, uv or poetry, and pytest, in a virtual environment of the build's own."""

    name = "python"
    tools = ("python", *(locker.name for locker in LOCKERS))
    compilers: tuple[Family, ...] = ("python", "gcc")

    def wanted(self, path: str) -> bool:
        """Only `pyproject.toml` is read."""
        return base_name(path) == "pyproject.toml"

    def detect(self, tree: FileTree) -> Detection | None:
        """By packaging files, else by scripts at the top of what is no other kind of project."""
        markers = sorted(nearest(tree, _MARKERS.__contains__), key=lambda path: -_MARKERS[base_name(path)])
        if markers:
            name, root = base_name(markers[0]), folder(markers[0])
            score = _MARKERS[name] - DEPTH_PENALTY * depth(markers[0])
            locker = _locker(tree, root)
            lock = f" with {locker.lock}" if locker else ""
            return Detection(self.name, score, f"{name} is {place(root)}{lock}", root, _NEEDS)
        scripts = [path for path in own_files(tree) if path.endswith(".py") and depth(path) == 0]
        if scripts and not tree.files & _OTHER_KINDS:
            return Detection(self.name, _SCRIPTS_SCORE, f"{scripts[0]} is at the top", ".", _NEEDS)
        return None

    def plan(self, stage: StageName, context: BuildContext) -> StagePlan:
        """The commands of a stage. Raises InvalidRequest when `pyproject.toml` cannot be read."""
        return _Plans(context).plan(stage)

    def artifacts(self, context: BuildContext) -> tuple[ArtifactGlob, ...]:
        """The wheels and sdists; uv lays a .gitignore beside them."""
        kinds = ("*.whl", "*.tar.gz") if _Plans(context).builds else ()
        return tuple(ArtifactGlob(f"dist/{kind}", "out") for kind in kinds)

    def test_reports(self, context: BuildContext) -> tuple[ReportGlob, ...]:
        """What pytest writes."""
        del context
        return (ReportGlob("junit", "reports/pytest.xml"),)

    def count_problems(self, line: str) -> Literal["warning", "error"] | None:
        """Warnings of pip, setuptools and Python; errors of pip, the last line of a traceback, pytest's E lines."""
        if _ERROR.match(line):
            return "error"
        return "warning" if _WARNING.match(line) else None


def _locker(tree: FileTree, root: str) -> Locker | None:
    """What installs the project where its versions are locked."""
    if not tree.has(join(root, "pyproject.toml")):
        return None
    return next((locker for locker in LOCKERS if tree.has(join(root, locker.lock))), None)


class _Plans:
    """The commands for one source."""

    def __init__(self, context: BuildContext) -> None:
        self._context = context
        self._root = context.detection.root
        self._tree = context.tree
        path = join(self._root, "pyproject.toml")
        self._pyproject = read_pyproject(path, self._tree.text(path)) if self._tree.has(path) else Pyproject()
        locker = _locker(self._tree, self._root)
        self._locked = Locked(locker, context, self._pyproject, self._python) if locker else None

    @property
    def builds(self) -> bool:
        """Whether there is something that makes a wheel."""
        if self._locked is not None:
            return self._locked.builds
        if self._pyproject.is_package is not None:
            return self._pyproject.is_package
        return self._has("setup.py") or self._has("setup.cfg")

    @property
    def _tests(self) -> bool:
        return any(_TEST_FILE.fullmatch(base_name(path)) for path in own_files(self._tree, self._root))

    def plan(self, stage: StageName) -> StagePlan:
        match stage:
            case StageName.RESTORE:
                return self._restore()
            case StageName.BUILD:
                return StagePlan(stage, (self._build(),))
            case StageName.TEST:
                return self._test()
            case _:
                made = "Build makes the wheel and the sdist." if self.builds else "No build system is declared."
                return StagePlan(stage, skip_reason=made)

    def _restore(self) -> StagePlan:
        stage = StageName.RESTORE
        if self._locked is not None:
            tests = self._tests and self._context.properties.run_tests
            return StagePlan(stage, self._locked.restore(tests=tests))
        python = self._context.tools.get("python", "python3")
        venv = self._command(stage, (python, "-m", "venv", f"{self._context.scratch}/venv"), "python -m venv")
        wanted = self._install_arguments()
        if not wanted:
            return StagePlan(stage, (venv,))
        quiet = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile")
        install = self._command(
            stage, (self._python, "-m", "pip", "install", *quiet, *wanted), f"pip install {' '.join(wanted)}"[:200]
        )
        return StagePlan(stage, (venv, install))

    def _install_arguments(self) -> list[str]:
        """Everything in one call, so that pip finds versions that suit all."""
        tests = self._tests and self._context.properties.run_tests
        files = [*_REQUIREMENTS, *(_TEST_REQUIREMENTS if tests else ())]
        arguments = [part for name in files if self._has(name) for part in ("-r", name)]
        extra = self._pyproject.test_extra if tests else ""
        if self.builds:
            arguments += ["-e", f".[{extra}]" if extra else ".", "build"]
        else:
            arguments += self._pyproject.dependencies
        if tests:
            arguments += [*self._pyproject.test_group, "pytest"]
        return arguments

    def _build(self) -> Command:
        if self.builds and self._locked is not None:
            return self._locked.build()
        if self.builds:
            argv: tuple[str, ...] = (self._python, "-m", "build", "--outdir", f"{self._context.out}/dist")
            return self._command(StageName.BUILD, argv, "python -m build")
        argv = (self._python, "-m", "compileall", "-q", "-x", _NOT_COMPILED, ".")
        return self._command(StageName.BUILD, argv, "python -m compileall")

    def _test(self) -> StagePlan:
        if not self._tests:
            return StagePlan(StageName.TEST, skip_reason="There are no test files (test_*.py or *_test.py).")
        report = f"--junitxml={self._context.out}/reports/pytest.xml"
        argv = (self._python, "-m", "pytest", "--color=yes", report)
        return StagePlan(StageName.TEST, (self._command(StageName.TEST, argv, "pytest", _TESTS_FAIL_ON),))

    @property
    def _python(self) -> str:
        """The environment's interpreter; Windows keeps it elsewhere."""
        windows = self._context.tools.get("python", "").lower().endswith(".exe")
        return f"{self._context.scratch}/venv/{'Scripts/python.exe' if windows else 'bin/python'}"

    def _has(self, name: str) -> bool:
        return self._tree.has(join(self._root, name))

    def _command(
        self, stage: StageName, argv: tuple[str, ...], title: str, tests_fail_on: tuple[int, ...] = ()
    ) -> Command:
        return Command(argv, stage, title, cwd=self._root, tests_fail_on=tests_fail_on)
