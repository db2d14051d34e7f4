from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox import AgentFolder, Workspace, agent_folder, build_environment, remove_tree, workspace_of

_WORKSPACE = Workspace(Path("/attempt"))
_CACHE = Path("/cache")
SECRETS = ["TOKEN", "BROKER_URL", "STORE_URL", "OBJECTS_URL", "API_URL", "DATA_DIR", "GIT_HOSTS"]


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,20}", fullmatch=True), st.just("hush"), max_size=20))
def test_only_known_variables_come_through(parent: dict[str, str]) -> None:
    passed = {name for name, value in build_environment(parent, _WORKSPACE, _CACHE).items() if value == "hush"}

    known = ("PIP_", "NPM_CONFIG_", "NUGET_", "DOTNET_", "GO", "CARGO_", "RUSTUP_", "MSBUILD")
    exact = {"PATH", "TZ", "JAVA_HOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "COMSPEC", "PATHEXT", "WINDIR", "MAVEN_OPTS"}
    for name in passed - exact:
        assert name.startswith(known) or name.endswith(("_PROXY", "_FILE", "_DIR", "_BUNDLE", "_CERTS", "_CAINFO"))


@pytest.mark.parametrize("name", [f"BUILDYARD_{name}" for name in SECRETS])
def test_no_setting_of_the_farm_reaches_a_build(name: str) -> None:
    assert "hush" not in build_environment({name: "hush"}, _WORKSPACE, _CACHE).values()


@pytest.mark.parametrize(
    "name",
    ["PIP_PASSWORD", "NUGET_API_KEY", "npm_config__authToken", "DOTNET_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"],
)
def test_what_sounds_like_a_secret_stays_outside(name: str) -> None:
    assert "hush" not in build_environment({name: "hush"}, _WORKSPACE, _CACHE).values()


def test_home_caches_and_language_are_set() -> None:
    parent = {"HOME": "/root", "LANG": "de_DE", "PIP_CACHE_DIR": "/x", "https_proxy": "http://p:1"}
    env = build_environment(parent, _WORKSPACE, _CACHE)

    assert (env["HOME"], env["LANG"], env["CI"]) == ("/attempt/home", "C.UTF-8", "true")
    assert (env["PIP_CACHE_DIR"], env["NUGET_PACKAGES"], env["https_proxy"]) == (
        "/cache/pip",
        "/cache/nuget",
        "http://p:1",
    )


def test_the_workers_own_environment_is_not_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", "/opt/venv")
    env = build_environment({"PATH": "/opt/venv/bin:/usr/bin:/bin"}, _WORKSPACE, _CACHE)

    assert env["PATH"] == "/usr/bin:/bin"


def test_the_users_package_index_stays_known(tmp_path: Path) -> None:
    place = tmp_path / ".config" / "pip" / "pip.conf"
    place.parent.mkdir(parents=True)
    place.touch()

    assert build_environment({"HOME": str(tmp_path)}, _WORKSPACE, _CACHE)["PIP_CONFIG_FILE"] == str(place)
    own = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/mine"}
    assert build_environment(own, _WORKSPACE, _CACHE)["PIP_CONFIG_FILE"] == "/mine"


def test_compilers_stay_where_they_are_and_what_is_fetched_is_shared(tmp_path: Path) -> None:
    (tmp_path / ".rustup").mkdir()

    env = build_environment({"HOME": str(tmp_path), "MAVEN_OPTS": "-Xmx1g"}, _WORKSPACE, _CACHE)

    assert (env["RUSTUP_HOME"], env["RUSTUP_AUTO_INSTALL"]) == (str(tmp_path / ".rustup"), "0")
    assert env["CARGO_HOME"] == "/cache/cargo"
    assert env["MAVEN_OPTS"] == "-Xmx1g -Dmaven.repo.local=/cache/maven"
    spaced = build_environment({"RUSTUP_HOME": "/mine"}, _WORKSPACE, Path("/my cache"))
    assert (spaced["RUSTUP_HOME"], spaced["MAVEN_OPTS"]) == ("/mine", "")


def test_the_temporary_folder_has_a_short_path_and_goes_with_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / ("deep" * 20) / "work")
    workspace.make()
    (workspace.tmp / "a file").touch()
    assert len(str(workspace.tmp)) <= 60
    assert workspace.tmp.stat().st_mode & 0o777 == 0o700

    workspace.remove()

    assert not workspace.tmp.exists()
    assert not workspace.root.exists()


def test_a_long_temporary_folder_of_the_worker_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 20)))

    assert len(str(Workspace(tmp_path).tmp)) <= 60


# ---------------------------------------------------------------- removing


def test_a_tree_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    root = tmp_path / "work"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "link").symlink_to(outside)
    (root / "file").symlink_to(outside / "kept")
    os.mkfifo(root / "a" / "pipe")
    (root / "a" / "b").chmod(0o000)
    (root / "a").chmod(0o500)

    remove_tree(root)

    assert not root.exists()
    assert (outside / "kept").is_dir()


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    here = Path.cwd()
    try:
        os.chdir(root)
        for _ in range(3000):
            Path("d" * 10).mkdir()
            os.chdir("d" * 10)
    finally:
        os.chdir(here)

    remove_tree(root)

    assert not root.exists()


def test_a_link_in_place_of_the_tree_is_removed_alone(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "real")

    remove_tree(tmp_path / "work")

    assert (tmp_path / "real").is_dir()
    assert not (tmp_path / "work").is_symlink()
    remove_tree(tmp_path / "work")


def test_an_agent_clears_up_after_dead_ones_of_its_machine_only(tmp_path: Path) -> None:
    def left_by(name: str, hostname: str, pid: int) -> Path:
        AgentFolder(tmp_path, name, hostname, pid).take(lambda _: True)
        workspace_of(tmp_path, name, "job", 1).make()
        return agent_folder(tmp_path, name)

    dead, alive, foreign = left_by("dead", "here", 1), left_by("alive", "here", 2), left_by("foreign", "there", 1)
    own = AgentFolder(tmp_path, "own", "here", 3)
    own.take(lambda pid: pid == 2)

    assert [folder.exists() for folder in (dead, alive, foreign)] == [False, True, True]
    own.leave()
    assert not agent_folder(tmp_path, "own").exists()
