"""With what the farm signs in to private git hosts: tokens and deploy keys, from a file that only the worker reads."""

from __future__ import annotations

import base64
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildyard.errors import InvalidSettings

_SETTING = "BUILDYARD_GIT_CREDENTIALS_FILE"
_TOKEN_USER = "x-access-token"  # noqa: S105 - the name that hosts take for "the password is a token"
_FIELDS = frozenset({"url", "username", "token_file", "key_file", "known_hosts_file"})
_OTHERS = stat.S_IRWXO


@dataclass(frozen=True)
class Token:
    """Signs in over https."""

    username: str
    secret: str

    @property
    def header(self) -> str:
        """The HTTP header that carries it."""
        return f"Authorization: Basic {self._encoded}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""
        return (self.secret, self._encoded)

    @property
    def _encoded(self) -> str:
        return base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


@dataclass(frozen=True)
class DeployKey:
    """Signs in over ssh; the host must be one of its known ones."""

    key_file: str
    known_hosts_file: str

    def command(self, host: str, port: int, address: str | None) -> str:
        """The ssh command for git: this key alone, no configuration, a known host, and one address where given."""
        alias = host if port == _SSH_PORT else f"[{host}]:{port}"
        options = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            "GlobalKnownHostsFile=/dev/null",
            f"UserKnownHostsFile={self.known_hosts_file}",
            f"HostKeyAlias={alias}",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "ConnectTimeout=20",
            "ServerAliveInterval=15",
            *((f"HostName={address}",) if address else ()),
        ]
        words = [word for option in options for word in ("-o", option)]
        return shlex.join(["ssh", "-F", "none", "-i", self.key_file, *words])


_SSH_PORT = 22


@dataclass(frozen=True)
class Credential:
    """Holds for every address that begins with `url`, at a `/`."""

    url: str
    key: Token | DeployKey

    def fits(self, address: str) -> bool:
        """Whether it is meant for an address."""
        return address == self.url or address.startswith(self.url.rstrip("/") + "/")


def credential_for(credentials: Sequence[Credential], address: str) -> Token | DeployKey | None:
    """The one that names the address most closely."""
    fitting = [one for one in credentials if one.fits(address)]
    return max(fitting, key=lambda one: len(one.url)).key if fitting else None


def load_credentials(file: str) -> tuple[Credential, ...]:
    """Read the file anew, so that a renewed token counts at once; no file named: none.

    Raises:
        InvalidSettings: it cannot be read, is not what it should be, or everybody on the machine may read it.
    """
    if not file:
        return ()
    path = Path(file)
    try:
        entries = tomllib.loads(_private(path)).get("credential", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{file} is not readable as TOML: {error}.", remedy=f"{_SETTING} names it.") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidSettings(f"{file} should hold [[credential]] tables.", remedy=f"{_SETTING} names it.")
    return tuple(_credential(file, number, entry) for number, entry in enumerate(entries, 1))


def _credential(file: str, number: int, entry: Mapping[str, Any]) -> Credential:
    where = f"[[credential]] number {number} in {file}"
    unknown = sorted(set(entry) - _FIELDS)
    if unknown or not all(isinstance(value, str) and value for value in entry.values()):
        odd = f"the field {unknown[0]!r}" if unknown else "a field that is no text"
        raise InvalidSettings(f"{where} has {odd}.", remedy=f"Its fields are {', '.join(sorted(_FIELDS))}.")
    url = entry.get("url", "")
    if url.startswith(("https://", "http://")) and "token_file" in entry and "key_file" not in entry:
        secret = _private(Path(entry["token_file"])).strip()
        if not secret or not secret.isprintable():
            raise InvalidSettings(f"The token file of {where} holds no token.", remedy="Write the token into it.")
        return Credential(url, Token(entry.get("username", _TOKEN_USER), secret))
    if url.startswith("ssh://") and {"key_file", "known_hosts_file"} <= set(entry) and "token_file" not in entry:
        _private(Path(entry["key_file"]))
        _text(Path(entry["known_hosts_file"]))
        return Credential(url, DeployKey(entry["key_file"], entry["known_hosts_file"]))
    raise InvalidSettings(
        f"{where} is neither a token nor a deploy key.",
        remedy="A token has an https:// url and a token_file; a key an ssh:// url, a key_file and a known_hosts_file.",
    )


def _private(path: Path) -> str:
    """What a file holds that is not for everybody."""
    text = _text(path)
    if path.stat().st_mode & _OTHERS:
        raise InvalidSettings(f"Every user of the machine may read {path}.", remedy=f"Run: chmod o-rwx {path}")
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"{path} cannot be read: {said}.", remedy=f"{_SETTING} leads to it.") from error
