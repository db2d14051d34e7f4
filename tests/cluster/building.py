"""The programs of the throwaway cluster: built once from the Go modules in `programs` with the Go on PATH, then kept.

Kept in `$XDG_CACHE_HOME/buildyard/cluster-<hash>` (`~/.cache` without the variable); the hash is over their go.mod and
go.sum and the version of Go. `python3 -m tests.cluster.building` builds them ahead of the tests, says how long it took
and prints the folder. Standard library only: `.ci/run` calls it before any virtual environment is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

MODULES = tuple(Path(__file__).with_name("programs") / name for name in ("kubernetes", "kwok"))
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kustomize", "kwok")
KUBELET_MODULE = Path(__file__).with_name("programs") / "kubelet"
_OLDEST_GO = (1, 24)
_TRIES = 3
_RENAMED = {"server": "etcd"}
"""Go names a program by its folder, and etcd's is called `server`."""


class NotBuilt(Exception):
    """The programs are not there and cannot be built; the sentence says why and what to do."""


def programs() -> Path:
    """The folder that holds all of NAMES; builds them first where that has not been done.

    Of two callers the second one waits for the first. A cold build takes minutes. Raises NotBuilt.
    """
    return _built("cluster", MODULES, NAMES)


def kubelet() -> Path:
    """The kubelet of a real node, which only few tests need. The same holds for it. Raises NotBuilt."""
    return _built("kubelet", (KUBELET_MODULE,), ("kubelet",)) / "kubelet"


def _built(kind: str, modules: tuple[Path, ...], names: tuple[str, ...]) -> Path:
    go, version = _go()
    folder = _cache() / f"{kind}-{_key(modules, version)}"
    if _whole(folder, names):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _whole(folder, names):
            _build(go, folder, modules, names)
    return folder


def sources(module: str, version: str, checksum: str) -> Path:
    """The folder of a Go module's files, downloaded once; `checksum` is what its go.sum line would say.

    Raises NotBuilt.
    """
    go, _ = _go()
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    command = [go, "mod", "download", "-json", f"{module}@{version}"]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotBuilt(f"{module} cannot be downloaded: {_end(done)}")
    found = json.loads(done.stdout)
    if found["Sum"] != checksum:
        raise NotBuilt(f"{module} {version} is not what it was: {found['Sum']}")
    return Path(found["Dir"])


def _build(go: str, folder: Path, modules: tuple[Path, ...], names: tuple[str, ...]) -> None:
    """Build everything into a folder beside it and give it the name in the end: nobody sees a half."""
    begun = time.monotonic()
    _say(f"Building the programs of the test cluster with {go} (once; 6 minutes on two idle cores) ...")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}
    for module in modules:
        _download(go, module, environment)
    downloaded = time.monotonic()
    options = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
    for module in modules:
        done = _run(["nice", "-n", "10", go, "build", *options, "-o", f"{part}{os.sep}", "tool"], module, environment)
        if done.returncode != 0:
            raise NotBuilt(f"The test cluster's programs cannot be built: {_end(done)}")
    for old, new in _RENAMED.items():
        if new in names:
            (part / old).rename(part / new)
    if not _whole(part, names):
        raise NotBuilt(f"The build left out some of {', '.join(names)}.")
    part.rename(folder)
    ended = time.monotonic()
    _say(f"Built after {ended - begun:.0f} s ({downloaded - begun:.0f} s of it downloading): {folder}")


def _download(go: str, module: Path, environment: dict[str, str]) -> None:
    """Fetch exactly the sources that the build needs."""
    for _ in range(_TRIES):
        done = _run([go, "list", "-deps", "tool"], module, environment)
        if done.returncode == 0:
            return
    raise NotBuilt(f"The sources of the test cluster's programs cannot be downloaded: {_end(done)}")


def _run(command: list[str], module: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=module, env=environment, capture_output=True, text=True, check=False)


def _go() -> tuple[str, str]:
    go = shutil.which("go")
    if go is None:
        raise NotBuilt("The test cluster is built with Go 1.24 or newer, and no `go` is on PATH: install it.")
    said = subprocess.run([go, "env", "GOVERSION"], cwd="/", capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_GO:
        raise NotBuilt(f"The test cluster is built with Go 1.24 or newer; {go} is {said or 'of no known version'}.")
    return go, said


def _key(modules: tuple[Path, ...], version: str) -> str:
    content = b"".join((module / name).read_bytes() for module in modules for name in ("go.mod", "go.sum"))
    return hashlib.sha256(content + version.encode()).hexdigest()[:16]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "buildyard"


def _whole(folder: Path, names: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() for name in names)


def _end(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr or done.stdout).strip()[-1500:]


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(programs())
    except NotBuilt as error:
        sys.exit(str(error))
