"""Idempotency keys: who holds one, and what was answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, delete, select, update
from sqlalchemy.sql.elements import ColumnElement

from orchestrator.domain.once import KeptAnswer, KeyRecord
from orchestrator.store import schema as t
from orchestrator.store.facts import Facts


class Keys(Facts):
    """The part of a transaction that keeps keys."""

    async def hold_key(
        self, requester: str, key: str, fingerprint: str, build_id: str, until: datetime
    ) -> KeyRecord | None:
        """Take a key that is new: None. One that is known is held against others until the transaction ends."""
        values = {
            "requester": requester,
            "key": key,
            "fingerprint": fingerprint,
            "build_id": build_id,
            "created_at": await self.now(),
            "held_until": until,
        }
        if await self._upsert(t.idempotency_keys, values, ("requester", "key"), {}):
            return None
        columns = t.idempotency_keys.c
        query = select(t.idempotency_keys).where(_this(requester, key)).with_for_update()
        row = (await self._db.execute(query)).mappings().first()
        if row is None:  # whoever had it gave it back between the two statements
            return await self.hold_key(requester, key, fingerprint, build_id, until)
        status = row[columns.status]
        return KeyRecord(
            fingerprint=row[columns.fingerprint],
            build_id=row[columns.build_id],
            held_until=row[columns.held_until],
            answer=None if status is None else KeptAnswer(status, row[columns.answer], row[columns.location]),
        )

    async def hold_key_again(self, requester: str, key: str, until: datetime) -> None:
        """Move the end of a hold; to now, so that the next request may take it."""
        change = update(t.idempotency_keys).where(_this(requester, key)).values(held_until=until)
        await self._db.execute(change)

    async def keep_answer(self, requester: str, key: str, answer: KeptAnswer) -> None:
        """The request was answered."""
        values = {"status": answer.status, "answer": answer.body, "location": answer.location}
        await self._db.execute(update(t.idempotency_keys).where(_this(requester, key)).values(values))

    async def drop_key(self, requester: str, key: str) -> None:
        """Forget a key whose request was refused."""
        unanswered = and_(_this(requester, key), t.idempotency_keys.c.status.is_(None))
        await self._db.execute(delete(t.idempotency_keys).where(unanswered))

    async def drop_keys_before(self, moment: datetime) -> None:
        """Forget keys that were first used before a moment."""
        await self._db.execute(delete(t.idempotency_keys).where(t.idempotency_keys.c.created_at < moment))


def _this(requester: str, key: str) -> ColumnElement[bool]:
    return and_(t.idempotency_keys.c.requester == requester, t.idempotency_keys.c.key == key)
