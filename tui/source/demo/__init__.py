"""A farm that does not exist: for trying the dashboard, for screenshots, and for measuring it.

The same seed tells the same story, second by second, whatever the machine does: time is an argument. It begins with
10,000 builds of the past and 400 agents' worth of work, and goes on with bursts, failing tests, lost workers, dead
letters, and, every quarter of an hour, a broker that is away for 45 seconds.
"""

from __future__ import annotations

from tui.source.demo.source import DemoSource

__all__ = ["DemoSource"]
