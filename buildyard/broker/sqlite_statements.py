"""What the embedded broker asks of its file: one function for each question, run in the file's thread."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from buildyard.errors import ChannelFull, UnknownCount, Unroutable

_TRIM_EVERY = 256
_BROADCAST_KEPT_SECONDS = 60.0


@dataclass(frozen=True)
class Row:
    """A message as the file holds it."""

    id: int
    body: bytes
    headers: Mapping[str, str]
    redelivered: bool = False


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction; the file's thread rolls it back when an error leaves it."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def declare(connection: sqlite3.Connection, channel: str) -> None:
    """Make a WORK channel exist."""
    if not _exists(connection, channel):
        connection.execute("INSERT OR IGNORE INTO channel (name) VALUES (?)", (channel,))


def publish(
    connection: sqlite3.Connection,
    channel: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    most: int | None = None,
) -> None:
    """Add messages to a WORK channel, all or none; not to one that holds `most` ready ones already.

    Raises:
        Unroutable: there is no such channel.
        ChannelFull: it holds as many as it may.
    """
    text = json.dumps(dict(headers))
    with transaction(connection):
        if not _exists(connection, channel):
            raise Unroutable(f"There is no channel {channel!r} to publish to.")
        if most is not None and _holds(connection, channel, most):
            raise ChannelFull(f"The channel {channel!r} holds {most} messages and takes no more now.")
        connection.executemany(
            "INSERT INTO message (channel, body, headers) VALUES (?, ?, ?)",
            ((channel, body, text) for body in bodies),
        )


def claim(connection: sqlite3.Connection, channel: str, holder: str, limit: int) -> list[Row]:
    """Take up to `limit` ready messages, oldest first. A look that finds nothing takes no lock."""
    if connection.execute("SELECT 1 FROM message WHERE channel = ? AND holder IS NULL LIMIT 1", (channel,)).fetchone():
        rows = connection.execute(
            "UPDATE message SET holder = ? WHERE id IN (SELECT id FROM message WHERE channel = ? AND holder IS NULL"
            " ORDER BY id LIMIT ?) RETURNING id, body, headers, redelivered",
            (holder, channel, limit),
        ).fetchall()
        return [Row(id_, body, json.loads(text), bool(again)) for id_, body, text, again in sorted(rows)]
    return []


def drop(connection: sqlite3.Connection, message: int, holder: str) -> bool:
    """Remove an acknowledged message; False when `holder` has it no longer."""
    cursor = connection.execute("DELETE FROM message WHERE id = ? AND holder = ?", (message, holder))
    return cursor.rowcount == 1


def give_back(connection: sqlite3.Connection, message: int, holder: str) -> None:
    """Return a message in hand to its place in the channel."""
    connection.execute(
        "UPDATE message SET holder = NULL, redelivered = 1 WHERE id = ? AND holder = ?", (message, holder)
    )


def bury(connection: sqlite3.Connection, message: int, holder: str, dead: str, headers: Mapping[str, str]) -> bool:
    """Move a message in hand to the channel `dead` under other headers; it is in exactly one of both at any time.

    False when `holder` has it no longer.
    """
    with transaction(connection):
        declare(connection, dead)
        moved = connection.execute(
            "INSERT INTO message (channel, body, headers) SELECT ?, body, ? FROM message WHERE id = ? AND holder = ?",
            (dead, json.dumps(dict(headers)), message, holder),
        )
        return moved.rowcount == 1 and drop(connection, message, holder)


def count(connection: sqlite3.Connection, channel: str) -> tuple[int, int, int]:
    """Ready messages, messages in hand, and consumers of a WORK channel, all of one moment.

    Raises:
        UnknownCount: there is no such channel.
    """
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM channel WHERE name = :channel),"
        " (SELECT count(*) FROM message WHERE channel = :channel AND holder IS NULL),"
        " (SELECT count(*) FROM message WHERE channel = :channel AND holder IS NOT NULL),"
        " (SELECT count(*) FROM subscription WHERE channel = :channel)",
        {"channel": channel},
    ).fetchone()
    exists, ready, held, consumers = found
    if not exists:
        raise UnknownCount(f"There is no channel {channel!r} to count.")
    return ready, held, consumers


def ring(connection: sqlite3.Connection, channel: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Put a ring in place of the one before."""
    connection.execute(
        "INSERT OR REPLACE INTO doorbell (channel, body, headers) VALUES (?, ?, ?)",
        (channel, body, json.dumps(dict(headers))),
    )


def take_ring(connection: sqlite3.Connection, channel: str) -> list[Row]:
    """Take the ring, where there is one."""
    if connection.execute("SELECT 1 FROM doorbell WHERE channel = ?", (channel,)).fetchone():
        rows = connection.execute(
            "DELETE FROM doorbell WHERE channel = ? RETURNING body, headers", (channel,)
        ).fetchall()
        return [Row(0, body, json.loads(text)) for body, text in rows]
    return []


def spread(
    connection: sqlite3.Connection,
    channel: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    *,
    at: float,
    bound: int,
) -> None:
    """Add copies for every consumer present (none is kept when nobody is), and drop those beyond `bound` or stale.

    One row serves all consumers: each reads on from where it stands, so a slow one finds the oldest ones gone.
    """
    if not connection.execute("SELECT 1 FROM subscription WHERE channel = ? LIMIT 1", (channel,)).fetchone():
        return
    text = json.dumps(dict(headers))
    last = 0
    with transaction(connection):
        for body in bodies:
            last = (
                connection.execute(
                    "INSERT INTO broadcast (channel, body, headers, at) VALUES (?, ?, ?, ?)", (channel, body, text, at)
                ).lastrowid
                or 0
            )
        if last % _TRIM_EVERY < len(bodies):
            _trim(connection, channel, at - _BROADCAST_KEPT_SECONDS, bound)


def _trim(connection: sqlite3.Connection, channel: str, before: float, bound: int) -> None:
    connection.execute("DELETE FROM broadcast WHERE channel = ? AND at < ?", (channel, before))
    connection.execute(
        "DELETE FROM broadcast WHERE channel = ? AND id <="
        " (SELECT id FROM broadcast WHERE channel = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (channel, channel, bound),
    )


def newest_copy(connection: sqlite3.Connection) -> int:
    """Where a new consumer of broadcasts begins: after everything that was sent before."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM broadcast").fetchone()
    return int(last)


def copies_after(connection: sqlite3.Connection, channel: str, last: int, limit: int) -> list[Row]:
    """The copies that a consumer has not read yet, oldest first."""
    rows = connection.execute(
        "SELECT id, body, headers FROM broadcast WHERE channel = ? AND id > ? ORDER BY id LIMIT ?",
        (channel, last, limit),
    ).fetchall()
    return [Row(id_, body, json.loads(text)) for id_, body, text in rows]


def addresses(connection: sqlite3.Connection, channel: str) -> list[str]:
    """Where the consumers of a channel are woken."""
    found = connection.execute(
        "SELECT DISTINCT address FROM subscription JOIN member ON member.id = member WHERE channel = ?", (channel,)
    )
    return [address for (address,) in found]


def join(connection: sqlite3.Connection, member: str, address: str) -> None:
    """Enter a process that consumes."""
    connection.execute("INSERT OR REPLACE INTO member (id, address) VALUES (?, ?)", (member, address))


def members(connection: sqlite3.Connection) -> dict[str, str]:
    """All members with their addresses."""
    return dict(connection.execute("SELECT id, address FROM member"))


def subscribe(connection: sqlite3.Connection, member: str, channel: str) -> int:
    """Enter a consumer of a channel."""
    cursor = connection.execute("INSERT INTO subscription (member, channel) VALUES (?, ?)", (member, channel))
    return cursor.lastrowid or 0


def unsubscribe(connection: sqlite3.Connection, subscription: int) -> None:
    """Remove a consumer; what its process holds stays in hand."""
    connection.execute("DELETE FROM subscription WHERE id = ?", (subscription,))


def remove_member(connection: sqlite3.Connection, member: str) -> list[str]:
    """Remove a process that consumes; what it held goes back. Gives the channels that got messages back."""
    with transaction(connection):
        held = connection.execute("SELECT DISTINCT channel FROM message WHERE holder = ?", (member,)).fetchall()
        connection.execute("UPDATE message SET holder = NULL, redelivered = 1 WHERE holder = ?", (member,))
        connection.execute("DELETE FROM subscription WHERE member = ?", (member,))
        connection.execute("DELETE FROM member WHERE id = ?", (member,))
    return [channel for (channel,) in held]


def _holds(connection: sqlite3.Connection, channel: str, most: int) -> bool:
    """Whether so many messages are ready; few are counted in no time, and most of the time there are few."""
    ready = "SELECT 1 FROM message WHERE channel = ? AND holder IS NULL LIMIT ?"
    (count,) = connection.execute(f"SELECT count(*) FROM ({ready})", (channel, most)).fetchone()  # noqa: S608 - fixed
    return bool(count >= most)


def _exists(connection: sqlite3.Connection, channel: str) -> bool:
    return connection.execute("SELECT 1 FROM channel WHERE name = ?", (channel,)).fetchone() is not None
