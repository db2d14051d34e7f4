"""manage.sh as a stranger meets it: help that matches the verbs, and clear sentences where something is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("awk", "bash", "cat", "cp", "dirname", "env", "mkdir", "mktemp", "rm", "sed", "tee")


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A machine with a few tools, without any Python, and a copy of the script in a folder of its own."""
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or pytest.fail(f"{tool} is not on PATH"))
    (tmp_path / "clone").mkdir()
    shutil.copy(ROOT / "manage.sh", tmp_path / "clone")
    return tmp_path


def manage(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(home / "bin"), "HOME": str(home)}
    command = [str(home / "bin" / "bash"), str(home / "clone" / "manage.sh"), *words]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=60)


def python(home: Path, script: str) -> None:
    """Put a `python3` on the machine."""
    file = home / "bin" / "python3"
    file.write_text(f"#!{home}/bin/bash\n{script}", encoding="utf-8")
    file.chmod(0o755)


def test_help_names_every_verb_and_no_other(stranger: Path) -> None:
    verbs = re.findall(r"^verb_(\w+)\(\)", (ROOT / "manage.sh").read_text(encoding="utf-8"), re.MULTILINE)
    answer = manage(stranger, "help")
    assert answer.returncode == 0
    assert re.findall(r"^(\w+)  ", answer.stdout, re.MULTILINE) == verbs
    assert manage(stranger).stdout == answer.stdout


def test_an_unknown_verb_is_a_mistake_of_usage(stranger: Path) -> None:
    answer = manage(stranger, "tset")
    assert answer.returncode == 2
    assert "no verb 'tset'" in answer.stderr


def test_a_machine_without_python_is_told_what_to_install(stranger: Path) -> None:
    answer = manage(stranger, "demo")
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer; found: none" in answer.stderr


def test_an_old_python_is_named(stranger: Path) -> None:
    python(stranger, '[ "$1" != -V ] || echo Python 3.9.18\ncase "$2" in *version_info*) exit 1 ;; esac\n')
    answer = manage(stranger, "demo")
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer; found: Python 3.9.18" in answer.stderr


def test_a_python_without_venv_is_told_its_package(stranger: Path) -> None:
    python(stranger, 'case "$2" in *ensurepip*) exit 1 ;; esac\n')
    answer = manage(stranger, "demo")
    assert answer.returncode == 1
    assert "apt install python3-venv" in answer.stderr


def test_when_the_libraries_cannot_be_had_pips_own_words_and_a_sentence_are_shown(stranger: Path) -> None:
    python(
        stranger,
        'case "$2" in\n'
        'venv) mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;\n'
        'pip) echo "ERROR: the index is away"; exit 1 ;;\n'
        "esac\n",
    )
    answer = manage(stranger, "demo")
    assert answer.returncode == 1
    assert "ERROR: the index is away" in answer.stderr
    assert "The libraries could not be installed" in answer.stderr
