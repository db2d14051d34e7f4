"""A machine on which only some programs are, each of them a fake that notes what it is asked."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cluster.__main__ import main

HERE = Path(__file__).parent
TOOLS = ("bash", "sh", "env", "cat", "dirname", "head", "od", "tr", "rm", "mkdir", "mv", "touch")
CHANGES = (" apply ", " delete ", " create cluster", "minikube start", " image load", "docker build", "kind load")
"""What a command line that changes something has in it; a server's dry run changes nothing."""


class Answer(NamedTuple):
    """What a fake says to command lines that hold these words."""

    words: str
    code: int = 0
    output: str = ""
    complaint: str = ""


YES = Answer("auth can-i create", output="yes\n")


def items(words: str, *objects: dict[str, Any]) -> Answer:
    """The answer to a `kubectl get` of some kind."""
    return Answer(words, output=json.dumps({"items": objects}))


class Machine:
    """Its PATH holds the fakes and what scripts need; the first of `answers` that fits is what a fake says."""

    def __init__(
        self, folder: Path, programs: Sequence[str], patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self._folder = folder / "machine"
        self._capture = capture
        bin_folder = self._folder / "bin"
        bin_folder.mkdir(parents=True)
        for name in programs:
            shutil.copy(HERE / "fake_program.sh", bin_folder / name)
            (bin_folder / name).chmod(0o755)
        for name in TOOLS:
            (bin_folder / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is not on PATH"))
        patch.setenv("PATH", str(bin_folder))
        patch.setenv("FAKE_FOLDER", str(self._folder))
        patch.setenv("FAKE_PYTHON", sys.executable)
        patch.setenv("FAKE_FORWARDER", str(HERE / "fake_forwarder.py"))
        (self._folder / "calls").touch()
        self.says()

    def says(self, *answers: Answer) -> None:
        """What the fakes answer from now on."""
        lines = []
        for answer in answers:
            said = f"printf %s {shlex.quote(answer.output)}; printf %s {shlex.quote(answer.complaint)} >&2"
            lines.append(f"case $line in *{shlex.quote(answer.words)}*) {said}; exit {answer.code} ;; esac\n")
        (self._folder / "answers").write_text("".join(lines))

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run a verb as `manage.sh` does, with no terminal: exit code, output, complaint."""
        self._capture.readouterr()
        code = main(words)
        said = self._capture.readouterr()
        return code, said.out, said.err

    def calls(self) -> list[str]:
        """The command lines so far."""
        return (self._folder / "calls").read_text().splitlines()

    def changed(self) -> list[str]:
        """Those that change something."""
        return [line for line in self.calls() if any(word in line for word in CHANGES) and "--dry-run" not in line]
