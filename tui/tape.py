"""A recording that is being made into a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from tui.recording import SUFFIX, Recorder, owners_file
from tui.state.events import Event


class Tape:
    """A recorder with its file; made by `beginning`."""

    def __init__(self, path: Path, file: BinaryIO, recorder: Recorder) -> None:
        self.path = path
        self._file = file
        self._recorder = recorder

    @classmethod
    def beginning(cls, folder: Path, now: datetime, title: str) -> Self:
        """Begin a new file in a folder, readable by its owner alone. OSError where that cannot be."""
        path = folder / f"buildyard-{now:%Y%m%d-%H%M%S}{SUFFIX}"
        file = owners_file(path)
        return cls(path, file, Recorder(file, now, title))

    @property
    def full(self) -> bool:
        """Whether it has reached its end."""
        return self._recorder.full

    def add(self, event: Event, now: datetime) -> None:
        """Write an event down."""
        self._recorder.add(event, now)

    def close(self) -> None:
        """The end; what was told is in the file."""
        self._recorder.flush()
        self._file.close()
