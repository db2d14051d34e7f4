"""Where the real node of the test cluster is: its name, and the address under which others reach it."""

from __future__ import annotations

import socket

REAL_NODE = "real-1"
"""The node that `real_node.py` adds: what is bound to it runs in containers, and nothing else imitates it."""
_ELSEWHERE = ("198.51.100.1", 9)
"""An address of nobody: nothing is sent there, the system only says from where it would be."""


def own_addresses() -> tuple[str, ...]:
    """This machine's address beside loopback, which no kubelet takes; empty where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return ()
        return (str(probe.getsockname()[0]),)
