"""The one place that starts `kubectl`, `minikube`, `kind` and `docker`, and what is said when one fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildyard.errors import BuildyardError, TemporaryError

REQUEST_SECONDS = 15
INSTALL = {
    "kubectl": "Install it: https://kubernetes.io/docs/tasks/tools/",
    "minikube": "Install it: https://minikube.sigs.k8s.io/docs/start/",
    "kind": "Install it: https://kind.sigs.k8s.io/docs/user/quick-start/",
    "docker": "Install Docker and start it: https://docs.docker.com/engine/install/",
}


class Missing(BuildyardError):
    """What the machine or the cluster lacks; nothing was changed."""

    code = "missing"


class ProgramFailed(TemporaryError):
    """A program ended with an error; the sentence holds its last words."""

    code = "program_failed"


@dataclass(frozen=True)
class Kubectl:
    """`kubectl` with a context and the farm's namespace."""

    context: str
    namespace: str = "buildyard"

    def words(self, *words: str) -> list[str]:
        """The whole command line."""
        return ["kubectl", "--context", self.context, "--namespace", self.namespace, *words]

    def ask(self, *words: str, seconds: int = REQUEST_SECONDS) -> str:
        """What it prints; `seconds`: a request's own limit, 0 for none. Raises ProgramFailed."""
        return run(self.words(*words, f"--request-timeout={seconds}s"))

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """The objects that `kubectl get WORDS` finds. Raises ProgramFailed."""
        found = json.loads(self.ask("get", *words, "--output=json"))
        return list(found["items"]) if "items" in found else [found]


def has(name: str) -> bool:
    """Whether a program is on PATH."""
    return shutil.which(name) is not None


def run(words: Sequence[str], *, variables: Mapping[str, str] | None = None) -> str:
    """What a program prints. Raises ProgramFailed and Missing."""
    done = _start(words, variables, capture=True)
    if done.returncode != 0:
        raise ProgramFailed(f"`{_shown(words)}` failed: {last_words(done.stderr)}")
    return str(done.stdout)


def show(words: Sequence[str], *, variables: Mapping[str, str] | None = None) -> int:
    """Run a program whose output the user sees; its exit code. Raises Missing."""
    return _start(words, variables, capture=False).returncode


def must(words: Sequence[str], *, variables: Mapping[str, str] | None = None) -> None:
    """The same, for one that has to work. Raises ProgramFailed and Missing."""
    if (code := show(words, variables=variables)) != 0:
        raise ProgramFailed(f"`{_shown(words)}` ended with {code}; its own words are above.")


def last_words(text: str) -> str:
    """The last line that a program wrote, which is where it says what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ")[:500] if lines else "it said nothing"


def _start(
    words: Sequence[str], variables: Mapping[str, str] | None, *, capture: bool
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            list(words),
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            capture_output=capture,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise Missing(f"{words[0]} is not on PATH.", remedy=INSTALL.get(words[0], "Install it.")) from error


def _shown(words: Sequence[str]) -> str:
    return " ".join(words)[:200]
