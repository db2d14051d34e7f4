"""Where the hosts of an SSH pool come from, and how a mistake in them is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from buildyard.contracts.pools_ssh import SshPool
from buildyard.errors import InvalidSettings
from scaler.executors.ssh_inventory import hosts_of

EXAMPLE = """
[hosts.build-1]
slots = 8

[hosts.build-2]
address = "10.0.0.12"
port = 2222
user = "ci"
environment = { PATH = "/opt/dotnet:/usr/bin" }
"""


def inventory(folder: Path, text: str) -> SshPool:
    file = folder / "hosts.toml"
    file.write_text(text)
    return SshPool(inventory=str(file), user="farm", environment={"LANG": "C", "PATH": "/bin"})


def test_an_inventory_is_read_and_the_pools_settings_fill_it_in(tmp_path: Path) -> None:
    first, second = hosts_of("linux", inventory(tmp_path, EXAMPLE))

    assert (first.name, first.address, first.port, first.user, first.slots) == ("build-1", "build-1", 22, "farm", 8)
    assert first.environment == {"LANG": "C", "PATH": "/bin"}
    assert (second.address, second.port, second.user, second.slots) == ("10.0.0.12", 2222, "ci", 1)
    assert second.environment == {"LANG": "C", "PATH": "/opt/dotnet:/usr/bin"}
    assert {host.known_hosts for host in (first, second)} == {"~/.ssh/known_hosts"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[hosts.a\n", r":1:9: it is not TOML"),
        ("", r":1:1: hosts: Field required"),
        ("[hosts]\n", r":1:2: hosts: Dictionary should have at least 1 item"),
        ("[hosts.a]\n\nport = 70000\n", r":3:8: hosts\.a\.port: Input should be less than or equal to 65535"),
        ("[hosts.a]\nslot = 2\n", r":2:1: hosts\.a\.slot: Extra inputs are not permitted"),
        ("[hosts.A]\n", r":1:8: hosts\.A: String should match pattern"),
        ('[hosts.a]\nuser = "-oProxyCommand=x"\n', r":2:8: hosts\.a\.user: "),
        ('[hosts.a]\nenvironment = { X = "a\\u0000b" }\n', r":2:15: .*the value of X holds a zero byte"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings, match=sentence) as caught:
        hosts_of("linux", inventory(tmp_path, text))

    assert str(tmp_path) in str(caught.value)
    assert caught.value.remedy


def test_an_inventory_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidSettings, match=r"The inventory /nowhere/hosts.toml cannot be read: No such file"):
        hosts_of("linux", SshPool(inventory="/nowhere/hosts.toml"))


def test_one_place_under_two_names_is_refused(tmp_path: Path) -> None:
    text = '[hosts.a]\naddress = "10.0.0.1"\n[hosts.b]\naddress = "10.0.0.1"\n'

    with pytest.raises(InvalidSettings, match="The hosts a and b of the pool linux are one place"):
        hosts_of("linux", inventory(tmp_path, text))


@pytest.mark.parametrize("given", [{}, {"inventory": "x.toml", "hosts": [{"name": "a"}]}])
def test_a_pool_has_its_hosts_from_one_place(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="either `hosts` or `inventory`"):
        SshPool.model_validate(given)


def test_a_name_is_given_to_one_host() -> None:
    with pytest.raises(ValidationError, match="the host a is there twice"):
        SshPool.model_validate({"hosts": [{"name": "a"}, {"name": "a", "port": 23}]})
