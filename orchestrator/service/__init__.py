"""The shell around the domain, and the only writer of builds: load -> decide -> save, then tell.

Every method is one transaction. What follows from it (events, tickets, stop hints) is handed on after the commit;
a crash in between costs nothing, since tickets stand in the outbox and events in the store.
"""

from __future__ import annotations

from orchestrator.service.changing import Changing
from orchestrator.service.core import Farm, Outlets, links_of
from orchestrator.service.dispatching import Dispatching
from orchestrator.service.recording import Recording
from orchestrator.service.remembering import Remembering
from orchestrator.service.removing import Removing
from orchestrator.service.reviving import Reviving

__all__ = ["Farm", "Outlets", "Service", "links_of"]


class Service(Reviving, Remembering, Changing, Dispatching, Recording, Removing):
    """Submitting, reviving, remembering, changing, handing out, recording, removing."""
