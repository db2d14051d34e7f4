"""Time travel: recording what a source tells, and moving in a recording."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tui.source import Seekable, Source
from tui.tape import Tape
from tui.windows import WindowedApp

_STEP = timedelta(seconds=10)


class TravellingApp(WindowedApp):
    """An app whose source can be recorded or, where it is a recording, moved in."""

    source: Source

    def __init__(self) -> None:
        super().__init__()
        self.tape: Tape | None = None
        """What is being recorded."""

    def do_time_record(self) -> None:
        """Begin a recording, or end it."""
        if self.tape is not None:
            path = self.tape.path
            self._end_tape()
            self.tell(f"Recorded in {path}; buildyard tui --replay {path} plays it.")
            return
        try:
            self.tape = Tape.beginning(Path.cwd(), self.source.now(), self.source.title)
        except OSError as error:
            self.tell(f"Nothing can be recorded here: {error.strerror or error}.")
        else:
            self.tell(f"Recording into {self.tape.path}; the same key ends it.")

    def on_unmount(self) -> None:
        """What was recorded is whole."""
        self._end_tape()

    def _end_tape(self) -> None:
        if self.tape is not None:
            self.tape.close()
            self.tape = None

    def do_time_back(self) -> None:
        """Ten seconds back."""
        self._step(-_STEP)

    def do_time_forward(self) -> None:
        """Ten seconds forward."""
        self._step(_STEP)

    def _step(self, by: timedelta) -> None:
        if isinstance(self.source, Seekable):
            self.source.seek(self.source.now() + by)
