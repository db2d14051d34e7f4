"""Real git hosts for tests: a repository served over HTTP by git's own backend, smart or dumb, and one over SSH."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from buildyard.contracts.builds import GitSource
from tests.servers import absent
from tests.worker.fakes import Rig, job_spec, rig_of


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; returns what it printed."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True)
    return done.stdout.strip()


async def built(tmp_path: Path, url: str, ref: str, *, submodules: bool = False, **settings: Any) -> tuple[Rig, Any]:
    """Build a repository in a worker of its own."""
    rig = rig_of(tmp_path, job_spec(GitSource(url=url, ref=ref, submodules=submodules)), **settings)
    return rig, await rig.run()


_LOGIN = "Basic " + base64.b64encode(b"farm:t0ken").decode()


class GitServer(ThreadingHTTPServer):
    """Repositories below `root` over HTTP.

    `/moved/…` redirects to them, `/private/…` wants the login `farm:t0ken`, `/old/…` speaks git's first protocol, in
    which a server hands out no commit that it did not name, and `/plain/…` hands out files, as any web server does.
    """

    root: Path
    seen: list[str]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Requests(BaseHTTPRequestHandler):
    """Answers for a GitServer."""

    server: GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes) -> None:
        self.server.seen.append(self.path)
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", self.server.origin + self.path.replace("/moved", "/project"))
            self.end_headers()
        elif self.path.startswith("/private/") and self.headers.get("Authorization") != _LOGIN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
        elif self.path.startswith("/plain/"):
            self._send_file(self.server.root / self.path.removeprefix("/plain/").partition("?")[0])
        else:
            self._run_git(body)

    def _send_file(self, path: Path) -> None:
        self.send_response(200 if path.is_file() else 404)
        self.end_headers()
        if path.is_file():
            self.wfile.write(path.read_bytes())

    def _run_git(self, body: bytes) -> None:
        path, _, query = self.path.removeprefix("/private").removeprefix("/old").partition("?")
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": "" if self.path.startswith("/old/") else self.headers.get("Git-Protocol", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


class SshHost:
    """An OpenSSH server of the tests' own on loopback, with one user's key; `port` is where it listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("host", "client"):
            self._keygen(name)
        with closing(socket.create_server(("127.0.0.1", 0))) as taken:
            self.port = taken.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listen; a connection that comes sooner waits."""
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or absent("sshd is not installed")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        (self.folder / "authorized").write_text((self.folder / "client.pub").read_text())
        options = {
            "Port": self.port,
            "ListenAddress": "127.0.0.1",
            "HostKey": self.folder / "host",
            "AuthorizedKeysFile": self.folder / "authorized",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "yes",
        }
        config = self.folder / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
        self.process = subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if b"listening on" in line:
                return
        raise AssertionError("sshd did not start")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def known_hosts(self, host: str = "127.0.0.1") -> str:
        """A file that names the host's key."""
        path = self.folder / "known_hosts"
        kind, key = (self.folder / "host.pub").read_text().split()[:2]
        path.write_text(f"[{host}]:{self.port} {kind} {key}\n")
        return str(path)

    def _keygen(self, name: str) -> None:
        keygen = shutil.which("ssh-keygen") or absent("ssh-keygen is not installed")
        made = [keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(made, check=True)
