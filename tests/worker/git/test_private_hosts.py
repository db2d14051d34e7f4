"""Private hosts by token and by deploy key: the right one is used, and no secret is ever shown."""

from __future__ import annotations

import base64
from pathlib import Path

from buildyard.contracts.builds import Outcome, ReasonCode
from tests.worker.git.hosts import GitServer, SshHost, built


def secret_file(folder: Path, text: str, name: str) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def token_for(folder: Path, url: str, token: str) -> str:
    file = secret_file(folder, token, "token")
    entry = f'[[credential]]\nurl = "{url}"\nusername = "farm"\ntoken_file = "{file}"\n'
    return secret_file(folder, entry, "credentials.toml")


def key_for(folder: Path, host: SshHost, known_hosts: str) -> str:
    entry = (
        f'[[credential]]\nurl = "ssh://root@127.0.0.1:{host.port}"\nkey_file = "{host.folder}/client"\n'
        f'known_hosts_file = "{known_hosts}"\n'
    )
    return secret_file(folder, entry, "credentials.toml")


async def test_a_token_opens_its_host_and_stands_nowhere(tmp_path: Path, server: GitServer) -> None:
    file = token_for(tmp_path, server.origin, "t0ken")
    url = f"{server.origin}/private/project"
    rig, finished = await built(tmp_path, url, "main", git_hosts=server.origin, git_credentials_file=file)

    assert finished.outcome is Outcome.SUCCEEDED, finished.reason
    log = await rig.log_text()
    assert "second" in log
    kept = b"".join(path.read_bytes() for path in rig.src.rglob("*") if path.is_file())
    for secret in ("t0ken", base64.b64encode(b"farm:t0ken").decode()):
        assert secret not in log
        assert secret.encode() not in kept


async def test_a_wrong_token_is_told_without_showing_it(tmp_path: Path, server: GitServer) -> None:
    file = token_for(tmp_path, server.origin, "wr0ng")
    url = f"{server.origin}/private/project"
    rig, finished = await built(tmp_path, url, "main", git_hosts=server.origin, git_credentials_file=file)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "the farm's credential may not read it" in finished.reason
    assert "wr0ng" not in finished.reason + await rig.log_text()


async def test_a_token_is_not_sent_to_another_address(tmp_path: Path, server: GitServer) -> None:
    file = token_for(tmp_path, f"{server.origin}/private/other", "t0ken")
    url = f"{server.origin}/private/project"
    _, finished = await built(tmp_path, url, "main", git_hosts=server.origin, git_credentials_file=file)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "needs a login" in finished.reason


async def test_a_deploy_key_opens_its_host(tmp_path: Path, repository: Path, ssh_host: SshHost) -> None:
    url = f"ssh://root@127.0.0.1:{ssh_host.port}{repository}"
    file = key_for(tmp_path, ssh_host, ssh_host.known_hosts())
    hosts = f"ssh://127.0.0.1:{ssh_host.port}"
    rig, finished = await built(tmp_path, url, "v1", git_hosts=hosts, git_credentials_file=file)

    assert finished.outcome is Outcome.SUCCEEDED, (finished.reason, await rig.log_text())
    assert "first" in await rig.log_text()


async def test_a_host_whose_key_is_another_one_gets_nothing(
    tmp_path: Path, repository: Path, ssh_host: SshHost
) -> None:
    other = ssh_host.folder / "other_hosts"
    kind, key = (ssh_host.folder / "client.pub").read_text().split()[:2]
    other.write_text(f"[127.0.0.1]:{ssh_host.port} {kind} {key}\n")
    url = f"ssh://root@127.0.0.1:{ssh_host.port}{repository}"
    hosts = f"ssh://127.0.0.1:{ssh_host.port}"
    file = key_for(tmp_path, ssh_host, str(other))
    _, finished = await built(tmp_path, url, "v1", git_hosts=hosts, git_credentials_file=file)

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "key is not the one" in finished.reason


async def test_ssh_without_a_deploy_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    _, finished = await built(tmp_path, "git@127.0.0.1:a/b", "main", git_hosts="ssh://127.0.0.1")

    assert (finished.outcome, finished.reason_code) == (Outcome.REJECTED, ReasonCode.SOURCE_REFUSED)
    assert "no deploy key for 127.0.0.1" in finished.reason
