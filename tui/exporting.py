"""Out of the dashboard: a log, or what is known of a thing, in the user's pager or in a file of their own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from textual.app import SuspendNotSupported

from buildyard.cli.paging import pager_of
from tui.recording import owners_file
from tui.screens.menus import Choice
from tui.windows import WindowedApp

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS = 60
_OWN_PAGER = "less"
_IN_BROWSER = "This runs in a browser: nothing is written on the server. y and Y copy."


class Exported(NamedTuple):
    """Something to take out, as text."""

    name: str
    """For a file's name: what it is."""
    suffix: str
    """`.log` or `.json`."""
    shown: str
    """What the filter lets through, where there is one."""
    whole: str
    """All of it; the same as `shown` where nothing is hidden."""


def pager_command(environment: Mapping[str, str]) -> list[str]:
    """The user's pager, else `less`; [] where there is neither."""
    found = shutil.which(_OWN_PAGER)
    return pager_of(environment) or ([found] if found else [])


def written(folder: Path, exported: Exported, text: str, stamp: str) -> Path:
    """Write it into a new file that its owner alone may read. OSError where that cannot be."""
    name = _NOT_IN_NAMES.sub("-", exported.name).strip("-.")[:_NAME_CHARACTERS] or "text"
    path = folder / f"buildyard-{name}-{stamp}{exported.suffix}"
    with owners_file(path) as file:
        file.write((text if text.endswith("\n") else f"{text}\n").encode(errors="replace"))
    return path


class ExportingApp(WindowedApp):
    """An app whose panels can be taken out as text."""

    paging = False
    """Whether a pager has the terminal: what is typed is for it."""

    def exported(self) -> Exported | None:
        """What the focused panel has to take out; None where there is nothing."""
        raise NotImplementedError

    def stamp(self) -> str:
        """The time, for names of files."""
        raise NotImplementedError

    # ---------------------------------------------------------------- pager

    def do_look_pager(self) -> None:
        """Open it in the pager; the dashboard goes on when the pager is closed."""
        exported, command = self.exported(), pager_command(os.environ)
        if exported is None:
            self.tell("There is nothing here to open.")
        elif not command:
            self.tell("There is no pager: set PAGER to a program that shows text, such as less. S writes a file.")
        else:
            self.run_worker(self._page(command, exported.shown), group="pager", exclusive=True, exit_on_error=False)

    async def _page(self, command: list[str], text: str) -> None:
        try:
            with self.suspend():
                self.paging = True
                try:
                    with self.batch_update():  # the source is read on, and nothing is drawn over the pager
                        await _paged(command, text)
                finally:
                    self.paging = False
        except SuspendNotSupported:
            self.tell("There is no terminal here to give to a pager. y and Y copy.")
        except OSError as error:
            self.tell(f"The pager {command[0]} does not start: {error.strerror or error}.")

    # ---------------------------------------------------------------- file

    def do_look_save(self) -> None:
        """Write it to a file in the working directory; with a filter the user says whether all of it."""
        exported = self.exported()
        if self.is_web:
            self.tell(_IN_BROWSER)
        elif exported is None:
            self.tell("There is nothing here to save.")
        elif exported.shown == exported.whole:
            self._save(exported, exported.whole)
        else:
            shown, whole = exported.shown.count("\n") + 1, exported.whole.count("\n") + 1
            choices = [
                Choice("shown", f"what the filter shows: {shown:,} lines"),
                Choice("whole", f"all of it: {whole:,} lines"),
            ]
            self.choose("Save", choices, lambda what: self._save(exported, getattr(exported, what)))

    def _save(self, exported: Exported, text: str) -> None:
        try:
            path = written(Path.cwd(), exported, text, self.stamp())
        except OSError as error:
            self.tell(f"It cannot be saved here: {error.strerror or error}.")
        else:
            self.tell(f"Saved in {path}.")


async def _paged(command: list[str], text: str) -> None:
    """Show a text in a pager on this terminal until the user closes it. OSError where it does not start."""
    environment = {"LESS": "RX", "LV": "-c", **os.environ}
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE, env=environment)
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # closed before all of it was read
            process.stdin.write(text.encode(errors="replace"))
            await process.stdin.drain()
            process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
