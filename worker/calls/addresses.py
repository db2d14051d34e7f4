"""Which addresses may be called: pure checks of what a row says, before anything is looked up or connected to.

An entry of the allow-list (BUILDYARD_CALL_HOSTS) is `api.example.com`, which allows https on its usual port at public
addresses; or `10.0.0.5:8080`, with which an operator vouches for that very host and port, inside too; or an origin such
as `http://10.0.0.5:8080`, which does so for one scheme.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from buildyard.contracts.sources import is_link_local, is_public, shown
from buildyard.errors import Forbidden, InvalidRequest

SETTING = "BUILDYARD_CALL_HOSTS"
_MAX_URL = 4096
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]"
_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?)"
    r"(?P<query>(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)"
)
_ENTRY = re.compile(rf"(?:(?P<scheme>https?)://)?(?P<host>{_HOST})(?::(?P<port>\d{{1,5}}))?/?")
_PORTS = {"https": 443, "http": 80}
_MOST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """A checked address; `vouched` when the allow-list names its host and port, so that it may be a private one."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as they go on the wire."""
    vouched: bool

    @property
    def service(self) -> str:
        """Host and port, as they stand in sentences and count for limits."""
        return f"{self.host}:{self.port}"

    @property
    def host_header(self) -> str:
        """What the header `Host` says."""
        return self.host if self.port == _PORTS[self.scheme] else self.service


def check_address(url: str, allowed: Sequence[str]) -> Address:
    """Judge an address that a row gives.

    Raises:
        InvalidRequest: it is malformed, or leads up its own path.
        Forbidden: the allow-list does not have it.
    """
    match = _URL.fullmatch(url) if len(url) <= _MAX_URL else None
    if match is None:
        raise InvalidRequest(
            f"The address {_shown(url)} is not one that can be called.",
            remedy="Use http:// or https://, no login, no fragment, and %-escapes for other characters.",
        )
    if any(re.fullmatch(r"(?:\.|%2e){1,2}", segment, re.IGNORECASE) for segment in match["path"].split("/")):
        raise InvalidRequest(f"The address {_shown(url)} has a part `.` or `..` in its path.")
    scheme, host = match["scheme"], match["host"].lower()
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port <= _MOST_PORT:
        raise InvalidRequest(f"The address {_shown(url)} has no possible port.")
    target = f"{match['path'] or '/'}{match['query']}"
    return Address(scheme, host, port, target, vouched=_vouched(scheme, host, port, allowed))


def _shown(url: str) -> str:
    """An address as it may stand in a sentence, without path and query, which often hold a key."""
    return shown(re.split(r"(?<![:/])/|\?|#", url, maxsplit=1)[0])


def _vouched(scheme: str, host: str, port: int, allowed: Sequence[str]) -> bool:
    """True when host and port are named, False when the host is and everything is usual.

    Raises:
        Forbidden: neither is.
    """
    entries = [match for word in allowed if (match := _ENTRY.fullmatch(word)) and match["host"].lower() == host]
    for entry in entries:
        named = int(entry["port"] or (_PORTS[entry["scheme"]] if entry["scheme"] else 0))
        if named == port and entry["scheme"] in {None, scheme}:
            return True
    if scheme == "https" and port == _PORTS["https"] and any(not (e["scheme"] or e["port"]) for e in entries):
        return False
    if not allowed:
        raise nobody_may_be_called()
    raise Forbidden(
        f"Calls to {shown(host)} over {scheme} on port {port} are not allowed on this farm.",
        remedy=f"{SETTING} lists the services that may be called.",
    )


def nobody_may_be_called() -> Forbidden:
    """The refusal of a farm whose allow-list is empty."""
    return Forbidden(
        f"This farm calls no services: {SETTING} is empty.",
        remedy="Its operator sets it to those that may be called, such as `api.example.com` or `127.0.0.1:9000`; "
        "with the toolchain `batch` a CSV's rows are taken as data.",
    )


def check_resolved(address: Address, found: str) -> None:
    """Judge an IP address that the host's name stands for.

    Raises:
        Forbidden: it is one of a private network that nobody vouched for, or of a cloud's metadata.
    """
    if is_link_local(found) or not (address.vouched or is_public(found)):
        raise Forbidden(
            f"The host {shown(address.host)} has the private address {found}, which is not called.",
            remedy=f"An operator may vouch for it as `{address.service}` in {SETTING}.",
        )
