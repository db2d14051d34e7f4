"""The pages of `docs/`: what `./manage.sh docs` refuses, and links of the pages that are not among them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")


def _options() -> list[str]:
    """How `./manage.sh docs` calls Sphinx."""
    (line,) = re.findall(r"-m sphinx (.*) docs \.cache/docs$", (ROOT / "manage.sh").read_text(), re.MULTILINE)
    return shlex.split(line)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("[there](nowhere.md)", "nowhere.md"),
        ("[there](other.md#no-such-heading)", "no-such-heading"),
        ("[there](#no-such-heading)", "no-such-heading"),
        ("![picture](no-such.svg)", "no-such.svg"),
        ("[there](other.md#a-heading) and [here](#title)", ""),
    ],
)
def test_a_link_that_leads_nowhere_fails_the_pages(page: str, words: str, tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "index.md").write_text(f"# Title\n\n{page}\n\n```{{toctree}}\nother\n```\n")
    (source / "other.md").write_text("# Other\n\n## A heading\n")
    command = [sys.executable, "-m", "sphinx", *_options(), str(source), str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == (1 if words else 0), done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_of_the_pages_at_the_top_lead_to_files(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [link for link in _LINK.findall(text) if not (ROOT / link).exists()] == []


def test_pages_name_only_paths_that_are_there() -> None:
    """Pages of `docs/` that other pages name in backticks, since such a name is no link."""
    named = {
        (page.name, name)
        for page in (*DOCS.rglob("*.md"), *ROOT.glob("*.md"))
        for name in re.findall(r"`(docs/[\w./-]+\.md)`", page.read_text(encoding="utf-8"))
    }
    assert {(page, name) for page, name in named if not (ROOT / name).exists()} == set()
