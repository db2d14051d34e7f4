"""Exit codes, and how every verb ends: one sentence and a remedy on standard error, never a traceback unasked."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from buildyard.cli.paging import pager
from buildyard.errors import BuildyardError, InvalidSettings, Overloaded, TemporaryError

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4
SOFTWARE = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

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


def perform(work: Callable[[], Coroutine[Any, Any, int]], *, debug: bool, paged: bool = False) -> int:
    """Run a verb's work to its end and give its exit code; errors are told on standard error.

    `paged` shows its output page by page, where a terminal and PAGER allow it.
    """
    import asyncio

    through_pager = False
    _make_streams_usable()
    try:
        with pager(wanted=paged) as through_pager:
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
        _drop_output()
        return OK if through_pager else PIPE_CLOSED  # leaving a pager early is how one reads
    except OSError as error:
        if error.errno not in _FULL:
            return _fault(error, debug=debug)
        _drop_output()
        code = _told(error, f"The output cannot be written: {error.strerror}.", REFUSED, debug=debug)
    except Exception as error:  # noqa: BLE001 - a fault of ours is told in a sentence, too
        code = _fault(error, debug=debug)
    return code


def _fault(error: Exception, *, debug: bool) -> int:
    name = type(error).__name__
    code = _told(error, f"Something inside buildyard went wrong: {name}: {error}", SOFTWARE, debug=debug)
    if not debug:
        say("Run it again with `buildyard --debug …` to see where.")
    return code


def _make_streams_usable() -> None:
    """Have both outputs where a shell closed one, and letters that a terminal lacks shown as `?`."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the program runs
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _drop_output() -> None:
    """Let nothing more be written: without this the interpreter complains at its end of what is still buffered."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(sentence: str) -> None:
    """A sentence on standard error."""
    from buildyard.cli.output import printable

    print(printable(sentence), file=sys.stderr)


def _told(error: Exception, sentence: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    say(f"Error: {sentence}")
    return code
