"""Message brokers behind one port: an embedded one for a laptop, RabbitMQ for a farm.

The URL chooses; nothing else in Buildyard knows which one runs. Libraries are imported when their broker is opened,
so that an embedded farm needs no AMQP client.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from buildyard.errors import InvalidSettings
from buildyard.ports import Broker

_SQLITE = re.compile(r"sqlite:///(?P<file>.+?)(?:\?prefix=(?P<prefix>[^?&]*))?")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,60}")


def open_broker(url: str, management_url: str = "") -> Broker:
    """Make the broker of a URL; nothing is connected before its `open()`.

    `sqlite:///FILE` (a relative path; `sqlite:////FILE` is absolute) or `amqp://USER:PASSWORD@HOST:PORT/VHOST`
    (`amqps://` for TLS). `?prefix=NAME` keeps the channels of several farms on one broker apart. `management_url` is
    RabbitMQ's management API, the second source of `witnesses`; other brokers need none.

    Raises:
        InvalidSettings: the URL names no broker we have, its prefix is odd, or its library is not installed.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "sqlite":
        return _open_sqlite(url)
    if scheme in {"amqp", "amqps"}:
        return _open_rabbitmq(url, management_url)
    raise InvalidSettings(
        f"The broker URL begins with {scheme[:20]!r}, which is no broker Buildyard has.",
        remedy="Use sqlite:///FILE or amqp://USER:PASSWORD@HOST:5672/VHOST.",
    )


def _open_sqlite(url: str) -> Broker:
    match = _SQLITE.fullmatch(url)
    if match is None:
        raise InvalidSettings("The broker URL names no file.", remedy="Write sqlite:///FILE.")
    try:
        from buildyard.broker.sqlite import SqliteBroker  # noqa: PLC0415 # POSIX only: imported where it is used
    except ImportError as error:
        raise InvalidSettings(
            "The embedded broker needs a POSIX system.", remedy="Set BUILDYARD_BROKER_URL to an amqp:// URL."
        ) from error
    return SqliteBroker(match["file"], prefix=_checked(match["prefix"] or ""))


def _open_rabbitmq(url: str, management_url: str) -> Broker:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidSettings(f"The broker URL cannot be read: {error}.") from error
    if not parts.hostname or port == 0:
        raise InvalidSettings("The broker URL names no host.", remedy="Write amqp://USER:PASSWORD@HOST:5672/VHOST.")
    pairs = [pair for pair in parts.query.split("&") if pair]
    prefixes = [pair.partition("=")[2] for pair in pairs if pair.startswith("prefix=")]
    rest = "&".join(pair for pair in pairs if not pair.startswith("prefix="))
    try:
        from buildyard.broker.rabbitmq import RabbitBroker  # noqa: PLC0415 # an extra: a laptop goes without it
    except ImportError as error:
        raise InvalidSettings(
            "RabbitMQ needs the aio-pika library, which is not installed.",
            remedy="Install buildyard[rabbitmq].",
        ) from error
    prefix = _checked(prefixes[-1] if prefixes else "")
    if not management_url:
        return RabbitBroker(parts._replace(query=rest).geturl(), prefix)
    from buildyard.broker.rabbitmq_management import Management  # noqa: PLC0415 # only who scales loads an HTTP client

    statistics = Management(management_url, unquote(parts.path[1:]) or "/")
    return RabbitBroker(parts._replace(query=rest).geturl(), prefix, statistics)


def _checked(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise InvalidSettings(
            f"The broker prefix {prefix[:60]!r} may hold only letters, digits, - and _, at most 60 of them."
        )
    return prefix
