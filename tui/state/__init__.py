"""What the dashboard knows of a farm, joined from all that its sources tell. Pure: no clock, no I/O, no screen.

    source --events--> Store.apply(event) -> changed refs --> widgets read rows of the store when they draw

- `events`: what sources tell: answers of the APIs with the time they were asked for, log lines, states of sources.
- `rows`: what the store holds, one immutable row a thing; a changed thing is a new row with a higher version.
- `store`: joins builds, jobs, agents, pools, decisions, dead letters, sources and logs; everything in it is bounded.
- `logs`: log lines with an exact account of what is missing. `history`: counts over time for charts.

Events may come late, twice, in any order and of kinds that are not known here: what ended stays ended, what is older
than what is known changes nothing, and an unknown kind is counted and passed over.
"""

from __future__ import annotations

from tui.state.bounds import Bounds
from tui.state.rows import Ref
from tui.state.store import Store

__all__ = ["Bounds", "Ref", "Store"]
