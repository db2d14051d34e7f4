"""What the API is made of: the parts it calls, handed to every endpoint by one dependency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Path, Request
from starlette.convertors import Convertor, register_url_convertor

from buildyard.clock import Clock
from buildyard.ports import Broker, ObjectStore
from buildyard.settings import Settings
from orchestrator.api.gate import Gate
from orchestrator.api.metrics import Metrics
from orchestrator.feed import Feed
from orchestrator.service import Service
from orchestrator.tail import Tail
from orchestrator.views import Views

ProcessState = Literal["starting", "ok", "stopping"]


@dataclass(frozen=True)
class ApiParts:
    """The parts, wired by the process; `state` says where the process stands in its life."""

    service: Service
    views: Views
    feed: Feed
    objects: ObjectStore
    broker: Broker
    settings: Settings
    clock: Clock
    metrics: Metrics
    state: Callable[[], ProcessState]
    gate: Gate
    tail: Tail

    @property
    def requester(self) -> str:
        """Who asks: the guard let nobody in without the one token, where there is one."""
        return "token" if self.settings.token else "local"


async def _parts_of(request: Request) -> ApiParts:
    parts: ApiParts = request.app.state.parts
    return parts


Parts = Annotated[ApiParts, Depends(_parts_of)]

_ID_ITSELF = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ID = f"^{_ID_ITSELF}$"
_EXAMPLE_ID = "01938a2e-7c1b-7d8e-9f00-123456789abc"


class _IdConvertor(Convertor[str]):
    """`{build_id:id}` in a path takes ids only, so that a word beside them is a path of its own."""

    regex = _ID_ITSELF

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())

BuildId = Annotated[str, Path(pattern=_ID, description="The build's `executionId`.", examples=[_EXAMPLE_ID])]
UploadId = Annotated[str, Path(pattern=_ID, description="The upload's `jobId`.", examples=[_EXAMPLE_ID])]
ArtifactId = Annotated[str, Path(pattern=_ID, description="The artifact's `id`.", examples=[_EXAMPLE_ID])]
AgentPath = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9-]{0,79}$", description="The agent's name.", examples=["linux-1-1"])
]
