"""Python projects whose versions are locked: `uv.lock` is installed by uv and `poetry.lock` by poetry, as they stand.

The agent's own program is used where it is new enough. Else the build gets one of its own with pip, in a virtual
environment apart from the project's: both are packages of the index that the project needs anyway, so no operator has
to install them, and a project that asks for a version of its tool gets that version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildyard.contracts.builds import StageName
from worker.toolchains.contract import BuildContext, Command
from worker.toolchains.pyproject import Pyproject

_PIP = ("-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-compile")
_SPECIFIER = r"(?:===?|~=|!=|<=?|>=?)\s*[0-9][\w.*+!]*"
_VERSIONS = re.compile(rf"{_SPECIFIER}(?:\s*,\s*{_SPECIFIER})*")
_EXACT = re.compile(r"[0-9][\w.+!]*")


@dataclass(frozen=True)
class Locker:
    """A program that installs from a lock file; `versions` are those that its command lines here are known to suit."""

    name: str
    lock: str
    least: tuple[int, int]
    versions: str
    does_not_fit: str
    """What it says of a lock that does not fit the project."""


UV = Locker("uv", "uv.lock", (0, 5), ">=0.9,<1", "needs to be updated, but")
POETRY = Locker(
    "poetry", "poetry.lock", (2, 0), ">=2.0,<3", "changed significantly since poetry.lock was last generated"
)
LOCKERS = (UV, POETRY)
"""The first whose lock file lies beside `pyproject.toml` is taken."""


class Locked:
    """The commands of one locked project."""

    def __init__(self, locker: Locker, context: BuildContext, pyproject: Pyproject, python: str) -> None:
        """`python` is the interpreter of the project's environment, which the restore makes."""
        self._locker = locker
        self._context = context
        self._pyproject = pyproject
        self._python = python
        self._bin = python.rpartition("/")[0].removeprefix(f"{context.scratch}/venv/")

    @property
    def builds(self) -> bool:
        """Whether the project is a package: for uv only one that declares how it is built, or that says so."""
        if self._locker is UV:
            return self._pyproject.has_build_system and self._pyproject.is_package is not False
        return self._pyproject.is_package is not False

    def restore(self, *, tests: bool) -> tuple[Command, ...]:
        """The program if need be, the environment as locked, and for tests pytest where no lock brought it."""
        commands = [*self._own_program(), *self._environment(), self._install(tests=tests)]
        if tests:
            commands.append(self._with_pytest())
        return tuple(commands)

    def build(self) -> Command:
        """Wheel and sdist."""
        place = f"{self._context.out}/dist"
        options = ("--out-dir", place) if self._locker is UV else ("--output", place, "--no-interaction")
        return self._run(StageName.BUILD, "build", *options)

    def _own_program(self) -> tuple[Command, ...]:
        if self._agents_own:
            return ()
        python = self._context.tools.get("python", "python3")
        wanted = f"{self._locker.name}{self._versions}"
        tools = f"{self._context.scratch}/tools"
        return (
            self._command((python, "-m", "venv", tools), f"python -m venv ({self._locker.name})"),
            self._command((f"{tools}/{self._bin}/{self._interpreter}", *_PIP, wanted), f"pip install {wanted}"),
        )

    def _environment(self) -> tuple[Command, ...]:
        """Made by uv itself; poetry takes the one that is active."""
        if self._locker is UV:
            return ()
        python = self._context.tools.get("python", "python3")
        return (self._command((python, "-m", "venv", f"{self._context.scratch}/venv"), "python -m venv"),)

    def _install(self, *, tests: bool) -> Command:
        known = self._pyproject if tests else Pyproject()
        if self._locker is UV:
            more = _given("--extra", known.test_extra) + _given("--group", known.test_group_name)
            return self._run(StageName.RESTORE, "sync", "--locked", "--no-progress", *more)
        more = _given("--extras", known.test_extra) + _given("--with", known.poetry_group)
        return self._run(StageName.RESTORE, "install", "--no-interaction", "--no-ansi", *more)

    def _with_pytest(self) -> Command:
        if self._locker is UV:
            return self._run(StageName.RESTORE, "pip", "install", "--no-progress", "--python", self._python, "pytest")
        return self._command((self._python, *_PIP, "pytest"), "pip install pytest")

    @property
    def _agents_own(self) -> str:
        """The agent's program, where it is new enough and the project asks for no version of its own."""
        name = self._locker.name
        found = re.match(r"(\d{1,9})\.(\d{1,9})", self._context.tool_versions.get(name, ""))
        fits = found is not None and (int(found[1]), int(found[2])) >= self._locker.least
        return self._context.tools.get(name, "") if fits and not self._asked else ""

    @property
    def _asked(self) -> str:
        return self._pyproject.uv_versions if self._locker is UV else self._pyproject.poetry_versions

    @property
    def _versions(self) -> str:
        """The project's own wish where pip understands it, else the range that is known to work."""
        if _VERSIONS.fullmatch(self._asked):
            return self._asked
        return f"=={self._asked}" if _EXACT.fullmatch(self._asked) else self._locker.versions

    @property
    def _program(self) -> str:
        suffix = ".exe" if self._bin == "Scripts" else ""
        return self._agents_own or f"{self._context.scratch}/tools/{self._bin}/{self._locker.name}{suffix}"

    @property
    def _interpreter(self) -> str:
        return self._python.rpartition("/")[2]

    def _run(self, stage: StageName, *arguments: str) -> Command:
        name, venv = self._locker.name, f"{self._context.scratch}/venv"
        if self._locker is UV:
            env = {
                "UV_PROJECT_ENVIRONMENT": venv,
                "UV_PYTHON": self._context.tools.get("python", "python3"),
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_LINK_MODE": "copy",  # a build that changes its environment must not change the shared cache
            }
        else:
            env = {
                "VIRTUAL_ENV": venv,
                "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
                "FINDPYTHON_GET_VERSION_TIMEOUT": "120",  # else 5 s for an interpreter to start, too few when busy
            }
        fix = f"{self._locker.lock} does not fit pyproject.toml; run `{name} lock` and commit what it writes"
        words = " ".join(arguments[:2] if arguments[0] in {"sync", "pip"} else arguments[:1])
        return Command(
            (self._program, *arguments),
            stage,
            f"{name} {words}",
            cwd=self._context.detection.root,
            env=env,
            explains={self._locker.does_not_fit: fix},
        )

    def _command(self, argv: tuple[str, ...], title: str) -> Command:
        return Command(argv, StageName.RESTORE, title, cwd=self._context.detection.root)


def _given(option: str, value: str) -> tuple[str, ...]:
    return (option, value) if value else ()
