"""The tables of the store: rows, versions, and ways to look at them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from buildyard.contracts.agents import AgentView
from buildyard.contracts.api import ArtifactView, BuildStatus, HealthAnswer, WorkerInfo
from buildyard.contracts.dead import DeadLetterView
from buildyard.contracts.diagnostics import StageDiagnostic
from tui.state import events as e
from tui.state.bounds import Bounds
from tui.state.history import History
from tui.state.logs import LogStreams
from tui.state.rows import AgentRow, BuildRow, DecisionRow, JobRow, PoolRow, Ref, UseRow


class Tables:
    """The rows and their versions.

    The mappings are live and read-only; their rows are immutable. `builds`, `jobs`: by id; `agents`, `pools`: by
    name; `decisions`: by number, oldest first; `dead`: by build id, newest first; `sources`, `health`, `use`: by
    source; `details`, `artifacts`, `diagnostics`: by build id, of the builds looked at last.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._builds: dict[str, BuildRow] = {}
        self._jobs: dict[str, JobRow] = {}
        self._jobs_of: dict[str, dict[str, None]] = {}
        self._agents: dict[str, AgentRow] = {}
        self._views: dict[str, AgentView] = {}
        self._workers: dict[str, WorkerInfo] = {}
        self._pools: dict[str, PoolRow] = {}
        self._decisions: OrderedDict[int, DecisionRow] = OrderedDict()
        self._started_by: dict[str, int] = {}
        self._dead: dict[str, DeadLetterView] = {}
        self._sources: dict[str, e.SourceSeen] = {}
        self._withheld: OrderedDict[str, e.PartSeen] = OrderedDict()
        self._health: dict[str, HealthAnswer] = {}
        self._use: dict[str, UseRow] = {}
        self._details: OrderedDict[str, BuildStatus] = OrderedDict()
        self._artifacts: OrderedDict[str, tuple[ArtifactView, ...]] = OrderedDict()
        self._diagnostics: OrderedDict[str, tuple[StageDiagnostic, ...]] = OrderedDict()
        self._history: dict[str, History] = {}
        self._asked: dict[str, datetime] = {}
        self._versions: dict[Ref, int] = {}
        self._changed: set[Ref] = set()

        self.builds: Mapping[str, BuildRow] = MappingProxyType(self._builds)
        self.jobs: Mapping[str, JobRow] = MappingProxyType(self._jobs)
        self.agents: Mapping[str, AgentRow] = MappingProxyType(self._agents)
        self.pools: Mapping[str, PoolRow] = MappingProxyType(self._pools)
        self.decisions: Mapping[int, DecisionRow] = MappingProxyType(self._decisions)
        self.dead: Mapping[str, DeadLetterView] = MappingProxyType(self._dead)
        self.sources: Mapping[str, e.SourceSeen] = MappingProxyType(self._sources)
        self.withheld: Mapping[str, e.PartSeen] = MappingProxyType(self._withheld)
        """What sources do not tell, by the names of parts."""
        self.health: Mapping[str, HealthAnswer] = MappingProxyType(self._health)
        self.use: Mapping[str, UseRow] = MappingProxyType(self._use)
        self.details: Mapping[str, BuildStatus] = MappingProxyType(self._details)
        self.artifacts: Mapping[str, tuple[ArtifactView, ...]] = MappingProxyType(self._artifacts)
        self.diagnostics: Mapping[str, tuple[StageDiagnostic, ...]] = MappingProxyType(self._diagnostics)
        self.logs = LogStreams(
            self._bounds.log_lines,
            self._bounds.log_lines_in_all,
            self._bounds.log_characters,
            self._bounds.log_streams,
        )
        self.dead_known = self.dead_more = False
        """Whether the dead letters were ever read; whether there are more than these."""
        self.tick = 0
        """Grows with every change."""
        self.passed_over = 0
        """Events of kinds that are not known here."""

    def version(self, ref: Ref) -> int:
        """A number that is another one once the thing has changed; 0 for what is not there."""
        return self._versions.get(ref, 0)

    def history(self, pool: str) -> History:
        """A pool's counts over time."""
        return self._history.get(pool) or History(0)

    def jobs_of(self, build_id: str) -> tuple[JobRow, ...]:
        """The jobs of a build that are known, in the order they came up."""
        return tuple(self._jobs[job] for job in self._jobs_of.get(build_id, ()))

    def _touch(self, ref: Ref) -> None:
        self.tick += 1
        self._versions[ref] = self.tick
        self._changed.add(ref)

    def _gone(self, ref: Ref) -> None:
        self.tick += 1
        self._versions.pop(ref, None)
        self._changed.add(ref)

    def _is_old(self, kind: str, at: datetime) -> bool:
        """Whether a later answer of this kind is known; else this is now the latest."""
        known = self._asked.get(kind)
        if known is not None and at < known:
            return True
        self._asked[kind] = at
        return False
