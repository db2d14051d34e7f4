"""Time travel: recording what a source tells, saving its last minutes, and moving in them or in a recording."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from buildyard.errors import BuildyardError
from tui.format import age
from tui.reading import ReadingApp
from tui.source import Seekable
from tui.source.replay import Replay
from tui.tape import Tape

_STEP, _FAR = timedelta(seconds=10), timedelta(minutes=5)


class TravellingApp(ReadingApp):
    """An app whose source can be recorded and looked back at or, where it is a recording, moved in."""

    def stamp(self) -> str:
        """The time, for names of files."""
        return f"{self.source.now():%Y%m%d-%H%M%S}"

    # ---------------------------------------------------------------- to a file

    def do_time_record(self) -> None:
        """Begin a recording, or end it."""
        if self.tape is not None:
            path = self.tape.path
            self._end_tape()
            self.tell(f"Recorded in {path}; buildyard tui --replay {path} plays it.")
            return
        try:
            self.tape = Tape.beginning(Path.cwd(), self.present.now(), self.present.title)
        except OSError as error:
            self.tell(f"Nothing can be recorded here: {error.strerror or error}.")
        else:
            self.tell(f"Recording into {self.tape.path}; the same key ends it.")

    def do_time_save(self) -> None:
        """Write what is kept of the last minutes."""
        if self.black_box is None:
            self.tell("Nothing was told yet that could be saved.")
            return
        try:
            path = self.black_box.save(Path.cwd(), f"{self.present.now():%Y%m%d-%H%M%S}")
        except OSError as error:
            self.tell(f"It cannot be saved here: {error.strerror or error}.")
        else:
            self.tell(f"The last minutes are in {path}; buildyard tui --replay {path} plays them.")

    def on_unmount(self) -> None:
        """What was recorded is whole."""
        self._end_tape()

    def _end_tape(self) -> None:
        if self.tape is not None:
            self.tape.close()
            self.tape = None

    # ---------------------------------------------------------------- back and forth

    def do_time_back(self) -> None:
        """Ten seconds back."""
        self._step(-_STEP)

    def do_time_forward(self) -> None:
        """Ten seconds forward."""
        self._step(_STEP)

    def do_time_far_back(self) -> None:
        """Five minutes back."""
        self._step(-_FAR)

    def do_time_far_forward(self) -> None:
        """Five minutes forward."""
        self._step(_FAR)

    def do_time_live(self) -> None:
        """The farm as it is now; where a recording knows of none, its end."""
        if self.looks_back:
            self.show_present()
        elif isinstance(self.source, Seekable):
            if self.live is None:
                self.source.seek(self.source.span[1])
                self.tell("This is the end of the recording. `buildyard tui` shows a farm as it is now.")
                return
            try:
                farm = self.live()
            except BuildyardError as error:
                self.tell(" ".join(part for part in (str(error), error.remedy) if part))
                return
            self.tell(f"This is {farm.title} as it is now. `buildyard tui --replay` plays the recording again.")
            self.begin(farm)

    def where_in_time(self) -> str:
        """What the header tells of a source that moves in time; "" for one that does not."""
        if not isinstance(self.source, Seekable):
            return ""
        paused = " paused" if self.source.paused else ""
        first, last = self.source.span
        if self.looks_back:
            return f"past -{age((self.present.now() - self.source.now()).total_seconds())}{paused}"
        at, whole = self.source.now() - first, last - first
        return f"replay {age(at.total_seconds())}/{age(whole.total_seconds())}{paused}"

    def _step(self, by: timedelta) -> None:
        if isinstance(self.source, Seekable):
            self.source.seek(self.source.now() + by)
        elif self.black_box is not None and by < timedelta():
            past = Replay(self.black_box.recording(), title=self.present.title)
            past.seek(self.present.now() + by)
            self.show_past(past)
