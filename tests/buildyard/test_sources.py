"""Which repositories may be fetched, judged before git sees anything."""

from __future__ import annotations

import pytest

from buildyard.contracts.sources import (
    LocalAddress,
    RemoteAddress,
    check_git_source,
    check_ref,
    check_url,
    is_link_local,
    is_public,
    shown,
)
from buildyard.errors import Forbidden, InvalidRequest

HOSTS = ("github.com", "gitlab.com", "127.0.0.1", "localhost", "metadata.google.internal", "2130706433")

HOSTILE_URLS = [
    "ext::sh -c touch% /tmp/x",
    "EXT::sh -c id",
    "ext::https://github.com/a/b",
    "file:///etc",
    "/etc/passwd",
    "../x",
    "-oProxyCommand=x",
    "--upload-pack=touch /tmp/x",
    "ssh://-oProxyCommand=x/a",
    "git@-oX:y",
    "git@-oProxyCommand=x:a/b",
    "git@github.com:-oProxyCommand=x",
    "git@github.com:../a",
    "ssh://root:pw@github.com/a/b",
    "ssh://git@github.com:2222/a/b",
    "ssh://git@-oProxyCommand=x/a/b",
    "ssh://-l@github.com/a/b",
    "ssh://git@github.com",
    "git://github.com/a/b",
    "http://github.com/a/b",
    "http://127.0.0.1:15672",
    "http://[::1]/a",
    "http://[::ffff:10.0.0.1]/a",
    "https://0x7f000001/a",
    "http://2130706433/a",
    "http://169.254.169.254/latest/meta-data",
    "https://example.com/a/b",
    "gopher://github.com/a",
    "https://user:pw@github.com/a/b",
    "https://user@github.com/a/b",
    "https://github.com@evil.com/a/b",
    "https://github.com:22/a/b",
    "https://github.com:99999/a/b",
    "https:///github.com/a",
    "https://github.com",
    "https://github.com/a/b\n",
    "https://github.com/a\r\nHost: evil",
    "https://github.com/a b",
    "https://github.com/a?x=1",
    "https://github.com/a#x",
    "https://github.com\\@evil.com/a",
    "https://git\uff0ehub.com/a/b",
    "https://github\u3002com/a/b",
    "https://github.com/" + "a" * 70_000,
    "https://github.com/a\0b",
    "HTTPS://github.com/a/b",
    "https://github.com/../a",
    "https://github.com/a/./b",
    "https://.github.com/a/b",
    "https://github.com./a/b",
    "",
]

HOSTILE_REFS = [
    "--upload-pack=x",
    "-h",
    "refs/heads/../x",
    "a..b",
    "@{-1}",
    "HEAD^{/x}",
    "HEAD~1",
    "a\0b",
    "a\nb",
    "a b",
    "x" * 10_000,
    "",
    "a/",
    "a//b",
    "a.lock",
    ".hidden",
    "a/.b",
    "main:refs/heads/evil",
    "+main",
    "*",
    "ümlaut",
]


@pytest.mark.parametrize("url", HOSTILE_URLS, ids=lambda url: ascii(url[:40]))
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises((Forbidden, InvalidRequest)) as caught:
        check_url(url, HOSTS, local_allowed=False)

    assert "pw" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("ref", HOSTILE_REFS, ids=lambda ref: ascii(ref[:30]))
def test_a_hostile_ref_is_refused(ref: str) -> None:
    with pytest.raises(InvalidRequest):
        check_ref(ref)


@pytest.mark.parametrize("ref", ["main", "HEAD", "v1.2.3", "feature/x_1-2", "refs/heads/main", "a" * 40, "1.0+build"])
def test_a_plain_ref_is_allowed(ref: str) -> None:
    assert check_ref(ref) == ref


def test_hosts_are_allowed_by_name_over_https_and_origins_as_they_are_written() -> None:
    hosts = ("GitHub.com", "http://git.corp:3000", "https://[fd00::1]")

    assert check_url("https://github.COM/a/b.git", hosts, local_allowed=False) == RemoteAddress(
        "https://github.COM/a/b.git", "https", "github.com", 443, named_by_operator=False
    )
    assert check_url("http://git.corp:3000/a", hosts, local_allowed=False) == RemoteAddress(
        "http://git.corp:3000/a", "http", "git.corp", 3000, named_by_operator=True
    )
    assert isinstance(check_url("https://[fd00::1]/a", hosts, local_allowed=False), RemoteAddress)
    with pytest.raises(Forbidden):
        check_url("http://git.corp/a", hosts, local_allowed=False)


@pytest.mark.parametrize(
    "written", ["ssh://git@github.com/a/b.git", "ssh://github.com:22/a/b.git", "git@github.com:a/b.git"]
)
def test_an_address_over_ssh_is_written_in_one_way(written: str) -> None:
    whole = RemoteAddress("ssh://git@github.com:22/a/b.git", "ssh", "github.com", 22, named_by_operator=False)

    assert check_url(written, HOSTS, local_allowed=False) == whole


def test_ssh_on_another_port_needs_its_origin_named() -> None:
    found = check_url("ssh://builder@git.corp:2222/~x/p", ("ssh://git.corp:2222",), local_allowed=False)

    assert found == RemoteAddress("ssh://builder@git.corp:2222/~x/p", "ssh", "git.corp", 2222, named_by_operator=True)


def test_a_local_path_is_an_address_only_where_local_ones_are_allowed() -> None:
    assert check_url("/srv/git/a", (), local_allowed=True) == LocalAddress("/srv/git/a")
    assert check_url("file:///srv/git/a", (), local_allowed=True) == LocalAddress("/srv/git/a")
    with pytest.raises(InvalidRequest):
        check_url("file://host/srv", (), local_allowed=True)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("140.82.121.4", True), ("2606:50c0:8000::153", True), ("127.0.0.1", False), ("10.1.2.3", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.0.1", False),
        ("0.0.0.0", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("fe80::1%eth0", False),
        ("fd00::1", False), ("::ffff:10.0.0.1", False), ("::ffff:140.82.121.4", True), ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False), ("::", False), ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)  # fmt: skip
def test_only_addresses_of_the_internet_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_metadata_addresses_are_known() -> None:
    assert is_link_local("169.254.169.254")
    assert is_link_local("::ffff:169.254.169.254")
    assert not is_link_local("10.0.0.1")


def test_an_address_is_shown_without_its_password_and_shortened() -> None:
    assert shown("https://user:pw@github.com/x") == "`https://***@github.com/x`"
    assert len(shown("x" * 5000)) < 100
    assert shown("a\x1b[2J") == "`a?[2J`"


def test_a_local_repository_is_refused_unless_its_folder_is_allowed() -> None:
    check_git_source("/srv/git/a", "main", HOSTS, ("/srv/git",))
    check_git_source("file:///srv/git/a", "main", HOSTS, ("/srv/git/",))
    for path in ("/srv/git/../etc", "/srv/gitx/a", "/etc", "/srv/git/./a"):
        with pytest.raises((InvalidRequest, Forbidden)):
            check_git_source(path, "main", HOSTS, ("/srv/git",))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:pw@2@github.com/x", "`https://***@github.com/x`"),
        ("https://user:pw/2@github.com/x", "`https://***@github.com/x`"),
        ("user:pw@github.com:x", "`***@github.com:x`"),
        ("https://github.com/a/b@v1", "`https://github.com/a/b@v1`"),
    ],
)
def test_no_part_of_a_password_is_shown(url: str, told: str) -> None:
    assert shown(url) == told
