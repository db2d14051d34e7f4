"""`python -m tests.journey.faulty_scaler`: the scaler, whose local workers are `tests.journey.faulty_worker`."""

from __future__ import annotations

import sys
from functools import partial

import scaler.executors.opening
from scaler.__main__ import main
from scaler.executors.process import ProcessExecutor

if __name__ == "__main__":
    command = (sys.executable, "-P", "-m", "tests.journey.faulty_worker")
    vars(scaler.executors.opening).update(ProcessExecutor=partial(ProcessExecutor, command=command))
    sys.exit(main())
