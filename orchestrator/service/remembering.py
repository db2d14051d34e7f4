"""Requests that may come twice: holding their keys, and keeping what was answered."""

from __future__ import annotations

from buildyard.contracts.api import BuildAccepted
from buildyard.errors import NotFound
from orchestrator.domain.once import HELD, KeptAnswer, earlier_answer
from orchestrator.service.submitting import Submitting


class Remembering(Submitting):
    """Idempotency keys. They stand in the store, so that any producer knows them."""

    async def hold_key(self, requester: str, key: str, fingerprint: str) -> KeptAnswer | str:
        """The answer that this request got before, or the id that its build is to have.

        Raises:
            InvalidRequest: the key came with another request.
            Conflict: (code `in_progress`) the first request is still worked on.
        """
        build_id = self._clock.new_id()
        async with self._store.begin() as tx:
            now = await tx.now()
            known = await tx.hold_key(requester, key, fingerprint, build_id, now + HELD)
            if known is None:
                return build_id
            answer = earlier_answer(known, fingerprint, now)
            if answer is not None:
                return answer
            await tx.hold_key_again(requester, key, now + HELD)
            return known.build_id

    async def accepted_earlier(self, build_id: str) -> BuildAccepted | None:
        """A build that a request made before its producer died, without having answered; None when there is none."""
        try:
            async with self._store.read() as queries:
                build = await queries.build(build_id)
        except NotFound:
            return None
        return await self._accepted(build)

    async def keep_answer(self, requester: str, key: str, answer: KeptAnswer) -> None:
        """Whoever sends the request again gets this answer."""
        async with self._store.begin() as tx:
            await tx.keep_answer(requester, key, answer)

    async def release_key(self, requester: str, key: str, *, refused: bool) -> None:
        """The request failed: forget its key where it was refused; else let the next try run in its place."""
        async with self._store.begin() as tx:
            if refused:
                await tx.drop_key(requester, key)
            else:
                await tx.hold_key_again(requester, key, await tx.now())
