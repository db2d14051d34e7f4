"""Exit codes, and how every verb ends: one sentence and a remedy on standard error, never a traceback unasked."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from buildyard.errors import BuildyardError, InvalidSettings, Overloaded, TemporaryError

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
SOFTWARE = 70
INTERRUPTED = 130
PIPE_CLOSED = 141

EXIT_CODES = """Exit codes: 0 done; 1 the build failed, or a check of `doctor` did; 2 wrong usage or settings;
3 producer or scaler unreachable; 4 refused; 70 a fault inside buildyard; 130 interrupted; 141 the reader of
the output went away."""


def exit_code_of(error: BuildyardError) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, InvalidSettings):
        return USAGE
    if isinstance(error, TemporaryError) and not isinstance(error, Overloaded):
        return UNREACHABLE
    return REFUSED


def perform(work: Callable[[], Coroutine[Any, Any, int]], *, debug: bool) -> int:
    """Run a verb's work to its end and give its exit code; errors are told on standard error."""
    try:
        code = asyncio.run(work())
        sys.stdout.flush()
    except BuildyardError as error:
        code = _told(error, str(error), exit_code_of(error), debug=debug)
        if error.remedy:
            say(error.remedy)
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has no reader either; without this the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - a fault of ours is told in a sentence, too
        name = type(error).__name__
        code = _told(error, f"Something inside buildyard went wrong: {name}: {error}", SOFTWARE, debug=debug)
        if not debug:
            say("Run it again with `buildyard --debug …` to see where.")
    return code


def say(sentence: str) -> None:
    """A sentence on standard error."""
    from buildyard.cli.output import printable

    print(printable(sentence), file=sys.stderr)


def _told(error: Exception, sentence: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    say(f"Error: {sentence}")
    return code
