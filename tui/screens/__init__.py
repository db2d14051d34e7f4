"""The screens. A screen is there when its module is: what leads to one that is not, is not shown."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tui.commands import Screen

if TYPE_CHECKING:
    from tui.screens.base import FarmScreen
    from tui.state import Ref

_MODULES: Mapping[Screen, tuple[str, str]] = {
    "overview": ("overview", "OverviewScreen"),
    "builds": ("builds", "BuildsScreen"),
    "build": ("builds_detail", "BuildScreen"),
    "queues": ("queues", "QueuesScreen"),
    "queue": ("queues_detail", "QueueScreen"),
    "agents": ("agents", "AgentsScreen"),
    "agent": ("agents_detail", "AgentScreen"),
    "scaler": ("scaler", "ScalerScreen"),
    "logs": ("logs", "LogsScreen"),
}
_SHOWS: Mapping[str, tuple[Screen, ...]] = {
    "build": ("build", "builds"),
    "job": ("build", "builds"),
    "agent": ("agent", "agents"),
    "pool": ("queue", "queues"),
    "dead": ("queues",),
    "decision": ("scaler",),
    "log": ("logs",),
    "source": ("overview",),
}
"""Which screens can show a thing, the best first."""


def available() -> tuple[Screen, ...]:
    """The screens that there are."""
    return tuple(name for name, (module, _) in _MODULES.items() if find_spec(f"tui.screens.{module}") is not None)


def screen_class(name: Screen) -> type[FarmScreen]:
    """The class of a screen that is available."""
    module, kind = _MODULES[name]
    found: type[FarmScreen] = getattr(import_module(f"tui.screens.{module}"), kind)
    return found


def screen_for(ref: Ref, there: tuple[Screen, ...]) -> Screen | None:
    """The screen that shows a thing, of those that are there."""
    return next((name for name in _SHOWS[ref.kind] if name in there), None)
