"""A worker as far as an executor can tell: started as `fake_worker.py --pool P --name N`, it does what FAKE says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path


def main() -> None:
    print("started", *sys.argv[1:], flush=True)
    for action in os.environ.get("FAKE", "wait").split(","):
        if action.startswith("exit:"):
            sys.exit(int(action.removeprefix("exit:")))
        elif action == "leave_children":
            start_leftovers()
        elif action == "ignore_term":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("deaf", flush=True)
        elif action.startswith("write:"):
            for number in range(int(action.removeprefix("write:"))):
                print("line", number)
        elif action == "environment":
            print(dict(os.environ), Path.cwd(), flush=True)
        elif action == "wait":
            sys.stdout.flush()
            signal.pause()


def start_leftovers() -> None:
    """Two processes marked as this worker's: one of this farm, one that another farm on this machine might have."""
    marked = {"PATH": os.environ["PATH"], "BUILDYARD_AGENT": sys.argv[-1]}
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    ours = subprocess.Popen(sleeper, env={**marked, "HOME": f"{Path.cwd()}/work"}, start_new_session=True)
    foreign = subprocess.Popen(sleeper, env={**marked, "HOME": "/elsewhere"}, cwd="/", start_new_session=True)
    print("leftovers", ours.pid, foreign.pid, flush=True)


if __name__ == "__main__":
    main()
