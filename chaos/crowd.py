"""How many workers a cluster had at each moment, from the changes of its Jobs and pods. Pure.

Resource versions order all changes of a cluster, whichever watch told them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Change:
    """One change of a worker's Job or pod. `ended`: the Job is finished, or the pod is over and not to be replaced."""

    version: int
    kind: Literal["job", "pod"]
    name: str
    uid: str
    worker: str
    gone: bool
    ended: bool
    exit_code: int | None = None


@dataclass(frozen=True)
class Crowd:
    """What the changes come to.

    `most`: workers at once. `twice`: names for which more than one Job was made. `together`: pairs of workers that
    were in one slot at once. `removed`: workers whose Job was deleted before it ended. `crashed`: workers whose
    process ended by itself with an exit code other than 0, with the code.
    """

    most: int = 0
    made: int = 0
    twice: tuple[str, ...] = ()
    together: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    crashed: dict[str, int] = field(default_factory=dict)


@dataclass
class _Worker:
    job: bool = False
    finished: bool = False
    pods: dict[str, bool] = field(default_factory=dict)
    """Whether each pod has ended, by its uid."""

    @property
    def alive(self) -> bool:
        """It counts from its Job's creation until its end is certain."""
        if self.finished:
            return False
        if self.pods and all(self.pods.values()):
            return False
        return self.job or bool(self.pods)


def crowd(changes: Iterable[Change]) -> Crowd:
    """Go through all changes in the order in which they were made."""
    workers: dict[str, _Worker] = {}
    alive: dict[str, str] = {}
    """Worker by slot."""
    uids: dict[str, set[str]] = {}
    most, removed, crashed = 0, [], {}
    together: list[tuple[str, str]] = []
    here: set[str] = set()
    for change in sorted(changes, key=lambda one: one.version):
        worker = workers.setdefault(change.worker, _Worker())
        if change.kind == "job":
            uids.setdefault(change.name, set()).add(change.uid)
            if change.gone and not (worker.finished or change.ended):
                removed.append(change.name)
            worker.job, worker.finished = not change.gone, worker.finished or change.ended
        elif change.gone and not change.ended:
            worker.pods.pop(change.uid, None)  # it was taken away: its Job says what follows
        else:
            worker.pods[change.uid] = change.ended
            if change.ended and change.exit_code:
                crashed[change.worker] = change.exit_code
        slot = change.worker.rpartition("-")[0]
        if worker.alive:
            if slot in alive and alive[slot] != change.worker:
                together.append((alive[slot], change.worker))
            alive[slot] = change.worker
            here.add(change.worker)
        else:
            here.discard(change.worker)
            if alive.get(slot) == change.worker:
                del alive[slot]
        most = max(most, len(here))
    twice = tuple(sorted(name for name, found in uids.items() if len(found) > 1))
    return Crowd(most, len(uids), twice, tuple(dict.fromkeys(together)), tuple(removed), crashed)
