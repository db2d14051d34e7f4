"""Machines with fakes, and a checkout of the manifests that a test may fill with passwords."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import target
from tests.cluster_verbs.machine import Machine

Maker = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Maker:
    """Make a machine on which only the named programs are."""
    return lambda *programs: Machine(tmp_path, programs, monkeypatch, capfd)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what is applied, without passwords: the real ones of this machine are left alone."""
    root = tmp_path / "checkout"
    without = shutil.ignore_patterns("secrets", "secrets.part")
    for folder in ("k8s", "minikube"):
        shutil.copytree(target.ROOT / folder, root / folder, ignore=without)
    monkeypatch.setattr(target, "ROOT", root)
    return root
