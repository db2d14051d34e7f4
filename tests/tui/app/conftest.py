from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Whoever runs the tests may have a terminal, colours, and a configuration of his own."""
    for name in ("NO_COLOR", "TERM", "COLORTERM", "BUILDYARD_TUI_FILE", "BUILDYARD_API_URL", "BUILDYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
