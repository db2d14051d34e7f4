"""What the palette finds: builds, agents and queues by a part of their names, then commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from tui import format as shown
from tui.commands import Command
from tui.screens.menus import Choice
from tui.state import Ref, Store

MOST_HITS = 50
_PREFIXES = {"b:": "build", "a:": "agent", "q:": "pool"}


def found(
    store: Store,
    typed: str,
    offered: Sequence[tuple[str, Command]],
    can_show: Callable[[Ref], bool],
) -> list[Choice]:
    """At most `MOST_HITS` choices; values are `kind:id` for things and `!id` for commands.

    Args:
        store: what is known.
        typed: a part of a name; `b:`, `a:` and `q:` before it look among builds, agents and queues only.
        offered: (key, command) of the commands that work here.
        can_show: whether there is a screen for a thing.
    """
    text = typed.strip().lower()
    kind = _PREFIXES.get(text[:2], "")
    wanted = text[2:].strip() if kind else text
    hits: list[Choice] = []
    if not kind:
        hits += [
            Choice(f"!{command.id}", f"{command.title}  {key}".rstrip())
            for key, command in offered
            if wanted in command.title.lower() or wanted in command.id
        ]
    if wanted or kind:
        things = (one for one in _things(store, kind) if wanted in one[1].lower() and can_show(one[0]))
        jumps = [Choice(f"{ref.kind}:{ref.id}", text) for ref, text in islice(things, MOST_HITS)]
        hits = [*jumps, *hits]
    return hits[:MOST_HITS]


def _things(store: Store, kind: str) -> Iterator[tuple[Ref, str]]:
    if kind in {"", "pool"}:
        yield from ((Ref("pool", name), f"queue {name}") for name in store.pools)
    if kind in {"", "agent"}:
        yield from ((Ref("agent", row.name), f"agent {row.name} {row.state}") for row in store.agents.values())
    if kind in {"", "build"}:
        for row in reversed(store.builds.values()):  # type: ignore[call-overload]  # a mapping proxy of a dict
            yield Ref("build", row.id), f"build {shown.short_id(row.id)} {row.project} {row.status} {row.ref} {row.id}"
