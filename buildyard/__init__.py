"""The kernel that every Buildyard process shares; it runs no process of its own."""

__version__ = "0.1.0"
