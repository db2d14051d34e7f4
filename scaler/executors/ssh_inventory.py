"""The hosts of an SSH pool, each with the pool's settings filled in where it has none of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from buildyard.contracts.pools_ssh import SshHost, SshInventory, SshPool
from buildyard.errors import InvalidSettings
from buildyard.project.toml_places import find_places
from buildyard.project.toml_text import TomlError, parse_toml

_REMEDY = "docs/ssh-workers.md shows a whole one."


def hosts_of(pool: str, settings: SshPool) -> tuple[SshHost, ...]:
    """The pool's hosts, from its own table or from its inventory.

    Raises:
        InvalidSettings: the inventory cannot be read or is wrong; the sentence says where.
    """
    hosts = settings.hosts or _read(Path(settings.inventory).expanduser())
    filled = tuple(_filled(host, settings) for host in hosts)
    places: dict[tuple[str, int, str, str], str] = {}
    for host in filled:
        place = (host.address, host.port, host.user, host.data_dir)
        if place in places:
            raise InvalidSettings(
                f"The hosts {places[place]} and {host.name} of the pool {pool} are one place.",
                remedy="Take one of them away, or give it an address or a data_dir of its own.",
            )
        places[place] = host.name
    return filled


def _read(file: Path) -> tuple[SshHost, ...]:
    """The hosts of an inventory; what is wrong is told with its line and column."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        tables = parse_toml(text)
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidSettings(f"The inventory {file} cannot be read: {cause}.", remedy=_REMEDY) from error
    except TomlError as error:
        at = f":{error.line}:{error.column}" if error.line else ""
        raise InvalidSettings(f"{file}{at}: {error}.", remedy=_REMEDY) from error
    where: tuple[str, ...] = ()
    try:
        inventory, hosts = SshInventory.model_validate(tables), []
        for name, fields in inventory.hosts.items():
            where = ("hosts", name)
            hosts.append(SshHost.model_validate({"name": name, **fields}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(part for part in (*where, *first["loc"]) if part != "name" or first["loc"] != ("name",))
        of_key = first["type"] == "extra_forbidden" or first["loc"] == ("name",)
        place = find_places(text).of_key(path) if of_key else find_places(text).of_value(path)
        at = f"{file}:{place.line}:{place.column}: {'.'.join(str(part) for part in path)}"
        raise InvalidSettings(f"{at}: {first['msg']}.", remedy=_REMEDY) from error
    return tuple(hosts)


def _filled(host: SshHost, pool: SshPool) -> SshHost:
    return host.model_copy(
        update={
            "address": host.address or host.name,
            "user": host.user or pool.user,
            "key_file": host.key_file or pool.key_file,
            "known_hosts": host.known_hosts or pool.known_hosts,
            "python": host.python or pool.python,
            "data_dir": host.data_dir or pool.data_dir,
            "environment": {**pool.environment, **host.environment},
        }
    )
