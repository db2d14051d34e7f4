"""`python -m scaler [--stop-workers]`: the scaler in the foreground; `python -m scaler VERB …`: see `scaler.verbs`."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

if __name__ == "__main__" and (not sys.argv[1:] or sys.argv[1].startswith("-")):  # the verbs do draw
    # They draw on terminals; structlog and httpx load them wherever they are installed: 5 MB of a process for nothing
    sys.modules.update(dict.fromkeys(("rich", "pygments")))  # type: ignore[arg-type] # None: not to be found

from buildyard.errors import InvalidSettings
from buildyard.settings import load_settings
from buildyard.telemetry import configure_logging


def main() -> int:
    """Run the scaler or a verb; 0 after a signal, 2 when a setting is wrong."""
    if sys.argv[1:] and not sys.argv[1].startswith("-"):
        from scaler.verbs import run  # noqa: PLC0415 - the scaler itself needs nothing of the command line

        return run(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="scaler", description="Starts workers by what waits, and asks them to leave.")
    parser.add_argument("--stop-workers", action="store_true", help="at the end, ask the workers to stop and wait")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logging(settings.log_level, settings.log_format, "scaler")
        from scaler.app import serve  # noqa: PLC0415 - a wrong setting is told before heavy libraries load

        asyncio.run(serve(settings, os.environ, stop_workers=arguments.stop_workers))
    except InvalidSettings as error:
        sys.stderr.write(f"{error} {error.remedy}".rstrip() + "\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
