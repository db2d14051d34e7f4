"""The file of tokens and deploy keys: what it may say, who may read it, and which entry an address gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildyard.errors import InvalidSettings
from worker.git.credentials import Credential, DeployKey, Token, credential_for, load_credentials


def a_file(folder: Path, text: str, mode: int = 0o600, name: str = "credentials.toml") -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_no_file_is_no_credential() -> None:
    assert load_credentials("") == ()


def test_a_token_and_a_key_are_read(tmp_path: Path) -> None:
    token, key = a_file(tmp_path, "t0ken\n", name="token"), a_file(tmp_path, "key", name="key")
    hosts = a_file(tmp_path, "git.corp ssh-ed25519 x", 0o644, name="known_hosts")
    file = a_file(
        tmp_path,
        f'[[credential]]\nurl = "https://git.corp/team"\ntoken_file = "{token}"\n'
        f'[[credential]]\nurl = "ssh://git@git.corp:22/"\nkey_file = "{key}"\nknown_hosts_file = "{hosts}"\n',
    )

    assert load_credentials(file) == (
        Credential("https://git.corp/team", Token("x-access-token", "t0ken")),
        Credential("ssh://git@git.corp:22/", DeployKey(key, hosts)),
    )


def test_the_closest_address_wins_and_ends_at_a_slash() -> None:
    farm = Credential("https://git.corp", Token("u", "farm"))
    team = Credential("https://git.corp/team/", Token("u", "team"))

    def secret(address: str) -> str | None:
        found = credential_for((farm, team), address)
        return found.secret if isinstance(found, Token) else None

    assert secret("https://git.corp/team/p") == "team"
    assert secret("https://git.corp/teams/p") == "farm"
    assert secret("https://git.corp.evil.example/p") is None
    assert secret("https://git.corp:8443/p") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("credential = [", "not readable as TOML"),
        ("credential = 3", r"\[\[credential\]\] tables"),
        ('[[credential]]\nurl = "https://h"\npassword = "x"', "'password'"),
        ('[[credential]]\nurl = "https://h"\ntoken_file = 3', "no text"),
        ('[[credential]]\nurl = "https://h"', "neither a token nor a deploy key"),
        ('[[credential]]\nurl = "ssh://git@h:22/"\ntoken_file = "x"', "neither a token nor a deploy key"),
        ('[[credential]]\nurl = "https://h"\ntoken_file = "/nowhere"', "/nowhere cannot be read"),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidSettings, match=said):
        load_credentials(a_file(tmp_path, text))


def test_a_file_that_everybody_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_credentials(a_file(tmp_path, "", 0o644))

    assert "chmod o-rwx" in caught.value.remedy


def test_a_token_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    token = a_file(tmp_path, "t0ken", 0o604, name="token")
    with pytest.raises(InvalidSettings, match="Every user"):
        load_credentials(a_file(tmp_path, f'[[credential]]\nurl = "https://h"\ntoken_file = "{token}"'))


def test_the_ssh_command_holds_the_host_to_its_name_and_one_address() -> None:
    command = DeployKey("/k e y", "/known").command("git.corp", 2222, "10.0.0.7")

    assert "'/k e y'" in command
    for option in ("HostKeyAlias=[git.corp]:2222", "HostName=10.0.0.7", "StrictHostKeyChecking=yes"):
        assert option in command
