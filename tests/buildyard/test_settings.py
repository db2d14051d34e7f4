"""Settings: every one documented, wrong ones refused by name, platform conventions honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.errors import InvalidSettings
from buildyard.settings import Settings, load_settings, settings_table

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)


def test_the_page_of_settings_is_the_generated_one() -> None:
    assert PAGE.read_text() == settings_table(), "run: python -m buildyard.settings > docs/settings.md"


def test_every_setting_says_what_it_is_for() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_an_embedded_farm_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)

    assert settings.broker == f"sqlite:///{tmp_path}/broker.sqlite"
    assert settings.store == f"sqlite+aiosqlite:///{tmp_path}/store.sqlite"
    assert settings.objects == f"file://{tmp_path}/objects"
    assert (settings.api, settings.scaler) == ("http://127.0.0.1:8000", "http://127.0.0.1:8080")


def test_what_hosting_platforms_set_is_honoured_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@db/x")
    monkeypatch.setenv("PORT", "9000")
    assert load_settings().store == "postgresql+asyncpg://u:p@db/x"
    assert load_settings().port == 9000

    monkeypatch.setenv("BUILDYARD_STORE_URL", "sqlite:///own.sqlite")
    monkeypatch.setenv("BUILDYARD_PORT", "9001")
    assert load_settings().store == "sqlite+aiosqlite:///own.sqlite"
    assert load_settings().port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("LEASE_SECONDS", "0"), ("LOG_LEVEL", "loud"), ("MAX_ATTEMPTS", "x"), ("TICK_SECONDS", "-1")],
)
def test_a_wrong_setting_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"BUILDYARD_{name}", value)

    with pytest.raises(InvalidSettings, match=f"BUILDYARD_{name} is wrong"):
        load_settings()


def test_listening_beyond_loopback_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDYARD_HOST", "0.0.0.0")
    with pytest.raises(InvalidSettings, match="BUILDYARD_TOKEN must be set"):
        load_settings()

    assert load_settings(token="secret").host == "0.0.0.0"
