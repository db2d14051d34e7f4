"""Settings: every one documented, wrong ones refused by name, platform conventions honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.errors import InvalidSettings
from buildyard.settings import Settings, load_pools, load_settings, settings_table

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


def test_without_a_file_there_is_one_pool_of_local_processes() -> None:
    [pool] = load_pools(load_settings())

    assert (pool.name, pool.executor) == ("linux", "process")
    assert pool.policy.max_workers >= 1


def test_pools_are_read_with_policy_and_capabilities(tmp_path: Path) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(
        '[pools.linux.policy]\nmax_workers = 3\n[pools.windows.capabilities]\ntools = {dotnet = "8"}\ncores = 4\n'
    )

    linux, windows = load_pools(load_settings(pools_file=file))

    assert linux.policy.max_workers == 3
    assert (windows.capabilities.tools, windows.capabilities.cores) == ({"dotnet": "8"}, 4)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[pools", "is not TOML"),
        ("", "declares no pool"),
        ("[pools.linux.policy]\nmax_worker = 1\n", "maxWorker|max_worker"),
        ("[pools.Linux]\n", "name"),
        ("pools = 3\n", "wrongly"),
        ('[pools.linux]\nexecutor = "magic"\n', "executor"),
    ],
)
def test_a_wrong_pools_file_is_refused_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "pools.toml"
    file.write_text(text)

    with pytest.raises(InvalidSettings, match=sentence):
        load_pools(load_settings(pools_file=file))


def test_a_missing_pools_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="cannot be read"):
        load_pools(load_settings(pools_file=tmp_path / "none.toml"))
