"""A folder of its own for each attempt, an environment that holds no secret of ours, and the removal of both."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

_PASSED = re.compile(
    r"(?i:https?_proxy|no_proxy|all_proxy)"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS|GIT_SSL_CAINFO"
    r"|PIP_\w+|UV_(?:INDEX|INDEX_URL|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|INSECURE_HOST|SYSTEM_CERTS|HTTP_TIMEOUT)"
    r"|POETRY_(?:CERTIFICATES|REQUESTS)_\w+|(?i:npm_config_)\w+|NUGET_\w+|DOTNET_\w+|MSBUILD\w*"
    r"|GOPROXY|GONOPROXY|GONOSUMDB|GOSUMDB|GOTOOLCHAIN|GOFLAGS|CARGO_(?:HTTP|NET|REGISTRIES)_\w+|RUSTUP_\w+|JAVA_HOME|GRADLE_OPTS"
    r"|LD_LIBRARY_PATH|TZ|SYSTEMROOT|COMSPEC|PATHEXT|WINDIR"
)
"""Variables of the worker that a build gets; everything else, each `BUILDYARD_*` above all, stays outside."""

_SHORT_PATH = 32
_SECRET = re.compile(r"(?i)token|secret|passw|credential|auth|api_?key|private")


@dataclass(frozen=True)
class Workspace:
    """The folders of one attempt. `src` sources, `out` what a build makes for people, `scratch` what nobody keeps."""

    root: Path

    @property
    def src(self) -> Path:
        """The sources."""
        return self.root / "src"

    @property
    def home(self) -> Path:
        """HOME of the children."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """TMPDIR of the children, outside the workspace: tools put sockets there, whose addresses hold 108 bytes."""
        return _short_temporary_folder() / f"by-{sha256(os.fsencode(self.root)).hexdigest()[:16]}"

    @property
    def out(self) -> Path:
        """Packages, publish output and test reports."""
        return self.root / "out"

    @property
    def scratch(self) -> Path:
        """Virtual environments and object files."""
        return self.root / "scratch"

    def make(self) -> None:
        """Create the folders, readable by nobody else."""
        for folder in (self.root, self.src, self.home, self.out, self.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_quietly(self.tmp)
        self.tmp.mkdir(mode=0o700)  # fails where somebody else put something at this place

    def remove(self) -> None:
        """Remove the folders with all that is in them; blocks.

        Raises:
            OSError: something cannot be removed.
        """
        remove_tree(self.tmp)
        remove_tree(self.root)

    def free_bytes(self) -> int | None:
        """Room left on its disk; None where the system does not tell."""
        if not hasattr(os, "statvfs"):
            return None
        found = os.statvfs(self.root)
        return found.f_bavail * found.f_frsize


def _short_temporary_folder() -> Path:
    """The system's folder for temporary files, or where the worker's own TMPDIR is a long path, a shorter one."""
    usual = Path(tempfile.gettempdir())
    if os.name != "posix" or len(os.fsencode(usual)) <= _SHORT_PATH:
        return usual
    places = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - each folder made here has an owner, mode 0700 and no predecessor
    return next((place for place in places if os.access(place, os.W_OK | os.X_OK)), usual)


def agents_folder(data_dir: Path) -> Path:
    """Where all agents of a machine keep their work."""
    return data_dir / "agents"


def agent_folder(data_dir: Path, agent: str) -> Path:
    """Where one agent keeps its work."""
    return agents_folder(data_dir) / agent


def workspace_of(data_dir: Path, agent: str, job_id: str, attempt: int) -> Workspace:
    """The workspace of one attempt; nothing is created yet."""
    return Workspace(agent_folder(data_dir, agent) / "work" / f"{job_id}-{attempt}")


def build_environment(parent: Mapping[str, str], workspace: Workspace, cache: Path) -> dict[str, str]:
    """The environment of an attempt's children, from the worker's own by an allow-list.

    The worker's virtual environment is taken off PATH: a build shall not find the farm's own libraries.
    """
    passed = {name: value for name, value in parent.items() if _PASSED.fullmatch(name) and not _SECRET.search(name)}
    return {
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "DOTNET_NOLOGO": "1",
        "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
        **_pip_configuration(parent),
        **_rust_installation(parent),
        **passed,
        "PATH": _path_without_our_environment(parent.get("PATH", os.defpath)),
        "LANG": "C.UTF-8",
        "CI": "true",
        "PYTHONUNBUFFERED": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "PIP_CACHE_DIR": str(cache / "pip"),
        "UV_CACHE_DIR": str(cache / "uv"),
        "POETRY_CACHE_DIR": str(cache / "poetry"),
        "NUGET_PACKAGES": str(cache / "nuget"),
        "npm_config_cache": str(cache / "npm"),
        "GOMODCACHE": str(cache / "go-modules"),
        "GOCACHE": str(cache / "go-build"),
        "CARGO_HOME": str(cache / "cargo"),
        "MAVEN_OPTS": _maven_options(parent, cache),
        "GRADLE_USER_HOME": str(cache / "gradle"),
    }


def _path_without_our_environment(path: str) -> str:
    if sys.prefix == sys.base_prefix:
        return path
    ours = {Path(sys.prefix) / "bin", Path(sys.prefix) / "Scripts"}
    return os.pathsep.join(part for part in path.split(os.pathsep) if Path(part) not in ours)


def _pip_configuration(parent: Mapping[str, str]) -> dict[str, str]:
    """The user's own pip configuration: HOME is replaced, yet a build must reach the same package index."""
    home = parent.get("HOME")
    if not home:
        return {}
    places = (Path(home) / ".config" / "pip" / "pip.conf", Path(home) / ".pip" / "pip.conf")
    return next(({"PIP_CONFIG_FILE": str(place)} for place in places if place.is_file()), {})


def _rust_installation(parent: Mapping[str, str]) -> dict[str, str]:
    """Where rustup keeps its compilers, which it seeks below HOME; a build uses these and installs no more."""
    home = parent.get("HOME")
    place = Path(home) / ".rustup" if home else None
    return {"RUSTUP_AUTO_INSTALL": "0"} | ({"RUSTUP_HOME": str(place)} if place and place.is_dir() else {})


def _maven_options(parent: Mapping[str, str], cache: Path) -> str:
    """The agent's own options for Maven's Java (proxy, trust store), and a local repository that builds share.

    mvn splits the options at spaces, so a cache with spaces in its path is not taken. Maven finds the account's
    `~/.m2/settings.xml` by itself: Java asks the system for the home folder, not HOME.
    """
    given = parent.get("MAVEN_OPTS", "")
    repository = str(cache / "maven")
    return given if re.search(r"\s", repository) else f"{given} -Dmaven.repo.local={repository}".strip()


def remove_tree(root: Path) -> None:
    """Remove a folder with all that is in it; links are removed, never followed; blocks, so call it in a thread.

    Folders that a build made unwritable are opened first, and folders nested deeper than any path may be long are
    lifted to the top one level at a time.

    Raises:
        OSError: something cannot be removed.
    """
    if root.is_symlink() or not root.is_dir():
        root.unlink(missing_ok=True)
        return
    lifted = 0
    root.chmod(0o700)
    while folders := [entry.path for entry in os.scandir(root) if _remove_unless_folder(entry)]:
        for folder in folders:
            Path(folder).chmod(0o700)
            inner = [entry.path for entry in os.scandir(folder) if _remove_unless_folder(entry)]
            for path in inner:
                Path(path).chmod(0o700)
                lifted += 1
                Path(path).rename(root / f".lifted-{lifted}")
            Path(folder).rmdir()
    root.rmdir()


def _remove_unless_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir(follow_symlinks=False):
        return True
    Path(entry.path).unlink(missing_ok=True)
    return False


class AgentFolder:
    """The folder of a running agent, marked with who uses it, so that others clear up after a dead one."""

    def __init__(self, data_dir: Path, agent: str, hostname: str, pid: int) -> None:
        self._all = data_dir / "agents"
        self._own = agent_folder(data_dir, agent)
        self._owner = f"{hostname} {pid}"
        self._hostname = hostname

    def take(self, exists: Callable[[int], bool]) -> None:
        """Mark the folder as ours and remove what dead agents of this machine left; blocks.

        `exists` tells whether a process of that number runs here.
        """
        self._own.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._own / "owner").write_text(self._owner, encoding="utf-8")
        _remove_agent_work(self._own)
        for folder in self._all.iterdir():
            if folder != self._own and self._is_dead(folder, exists):
                _remove_agent_work(folder)
                _remove_quietly(folder)

    def leave(self) -> None:
        """Remove the folder; blocks."""
        _remove_agent_work(self._own)
        _remove_quietly(self._own)

    def _is_dead(self, folder: Path, exists: Callable[[int], bool]) -> bool:
        try:
            host, _, pid = (folder / "owner").read_text(encoding="utf-8").rpartition(" ")
            return host == self._hostname and not exists(int(pid))
        except (OSError, ValueError):
            return False


def _remove_agent_work(folder: Path) -> None:
    """Remove the workspaces of an agent, with their temporary folders."""
    for root in sorted((folder / "work").glob("*")):
        with suppress(OSError):  # as below
            Workspace(root).remove()
    _remove_quietly(folder / "work")


def _remove_quietly(folder: Path) -> None:
    with suppress(OSError):  # leftovers cost room, and are tried again at the next start
        remove_tree(folder)
