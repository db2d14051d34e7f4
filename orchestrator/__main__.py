"""`python -m orchestrator`: the producer in the foreground."""

from __future__ import annotations

import asyncio
import sys

if __name__ == "__main__":
    # They draw on terminals; structlog and httpx load them wherever they are installed: 5 MB of a process for nothing
    sys.modules.update(dict.fromkeys(("rich", "pygments")))  # type: ignore[arg-type] # None: not to be found

from buildyard.errors import InvalidSettings
from buildyard.settings import load_settings
from buildyard.telemetry import configure_logging


def main() -> int:
    """Run the producer; 2 when a setting is wrong."""
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format, "producer")
        from orchestrator.app import serve  # noqa: PLC0415 - a wrong setting is told before heavy libraries load

        asyncio.run(serve(settings))
    except InvalidSettings as error:
        sys.stderr.write(f"{error} {error.remedy}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
