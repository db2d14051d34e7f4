"""The Python environment of the other job queues: apart from ours, made once for each state of its lock file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

LOCK = Path(__file__).with_name("requirements.txt")


def prepared() -> Path:
    """The interpreter of the environment; it is made when it is not there, which takes a minute or two."""
    python = _folder() / "bin" / "python"
    complete = _folder() / "complete"
    if not complete.exists():
        sys.stderr.write(f"Setting up other job queues in {_folder()} (once)\n")
        venv.create(_folder(), with_pip=True, clear=True)
        pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "install")
        subprocess.run([python, *pip, "--require-hashes", "-r", LOCK], check=True)
        complete.touch()
    return python


def versions() -> dict[str, str]:
    """What the lock file pins, by name."""
    pins = (line.split(" ")[0].split("==") for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line)
    return {pin[0].strip(): pin[1] for pin in pins}


def _folder() -> Path:
    cache = Path(os.environ.get("BUILDYARD_CACHE") or Path.home() / ".cache" / "buildyard")
    state = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()
    return cache.absolute() / "bench-peers" / state[:16]
