from __future__ import annotations

import pytest
from textual.app import App


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Whoever runs the tests may have a terminal, colours, and a configuration of his own."""
    for name in ("NO_COLOR", "TERM", "COLORTERM", "BUILDYARD_TUI_FILE", "BUILDYARD_API_URL", "BUILDYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(App, "NOTIFICATION_TIMEOUT", 60.0)  # what was said is still there after a stall of the machine
