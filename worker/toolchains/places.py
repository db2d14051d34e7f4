"""Where in a source a project lies: the files nearest to the top that tell its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from worker.toolchains.contract import FileTree

DEEPEST = 3
"""How many folders below the top a project may begin."""
DEPTH_PENALTY = 1000
"""What each folder of depth costs a detection's score: nearer to the top wins, whatever the kind."""

_NOT_THE_PROJECT = frozenset(
    {"node_modules", "vendor", "third_party", "venv", "env", "__pycache__", "site-packages", "bin", "obj"}
)


def depth(path: str) -> int:
    """How many folders a file lies below the top."""
    return path.count("/")


def base_name(path: str) -> str:
    """A path's last part."""
    return path.rpartition("/")[2]


def folder(path: str) -> str:
    """The folder a file lies in; "." for the top."""
    return path.rpartition("/")[0] or "."


def join(root: str, path: str) -> str:
    """A path below a root that may be "."."""
    return path if root == "." else f"{root}/{path}"


def place(root: str) -> str:
    """A folder in words."""
    return "at the top" if root == "." else f"in {root}"


def own_files(tree: FileTree, root: str = ".") -> Iterator[str]:
    """The files below a root, in order, without hidden folders, vendored code and what tools make."""
    prefix = "" if root == "." else f"{root}/"
    for path in sorted(tree.files):
        if path.startswith(prefix):
            folders = path.removeprefix(prefix).split("/")[:-1]
            if not any(part in _NOT_THE_PROJECT or part.startswith(".") for part in folders):
                yield path


def nearest(tree: FileTree, fits: Callable[[str], bool]) -> tuple[str, ...]:
    """The fitting files that lie nearest to the top, all of one depth, in order; empty when none is near enough."""
    fitting = [path for path in own_files(tree) if depth(path) <= DEEPEST and fits(base_name(path))]
    least = min((depth(path) for path in fitting), default=0)
    return tuple(path for path in fitting if depth(path) == least)
